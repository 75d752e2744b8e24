// The guest's tree and its open files, written down in the middle of a run and put back in another one.
//
// Both runs begin with the same tree (task.mjs lays it out; inodes count from 1), so what is written down is every node
// with its inode number, and a node that the tree begins with is only brought to its state. Nodes that were handed over
// are asked for again where they came from. Whatever this file does not know is refused: then there is no checkpoint.

/** Why the state of a run cannot be written down: a reason, not a failure. */
export class NotKept extends Error {
  name = "NotKept";
}

/** Most nodes, and characters of names and links, that are written down: what a run has made beyond that stays with it. */
const MOST_NODES = 50_000;
const MOST_CHARACTERS = 16 << 20;

/** What an open file has of its own; what else is found there is not known. */
const STREAM_KEYS = new Set(["shared", "node", "path", "seekable", "stream_ops", "ungotten", "error", "fd"]);

/** Every node that a path leads to, mounts included, by inode number, ascending. */
function nodesOf(FS) {
  const children = new Map();
  for (const chain of FS.nameTable) {
    for (let node = chain; node; node = node.name_next) {
      if (node.parent === node) continue;
      if (!children.has(node.parent)) children.set(node.parent, []);
      children.get(node.parent).push(node);
    }
  }
  const found = [];
  for (const waiting = [FS.root]; waiting.length > 0; ) {
    const node = waiting.pop();
    found.push(node);
    for (const child of children.get(node) ?? []) waiting.push(child);
    if (node.mounted) waiting.push(node.mounted.root);
  }
  return new Map(found.sort((one, other) => one.id - other.id).map((node) => [node.id, node]));
}

const placeOf = (node) => `${node.parent.id}/${node.name}`;

/** Where the nodes stand with which a run begins, by inode number. */
export const firstPlaces = ({ FS }) => new Map([...nodesOf(FS)].map(([id, node]) => [id, placeOf(node)]));

/**
 * Write down tree and open files.
 *
 * @param {object} Module the Emscripten module
 * @param {Map<number, string>} first see `firstPlaces`
 * @returns {{state: object, contents: Uint8Array[]}} state: JSON; contents: of the files in it, in their order
 * @throws {NotKept}
 */
export function describeFiles({ FS, MEMFS, PIPEFS, SOCKFS }, first) {
  const nodes = nodesOf(FS);
  demandFew(nodes);
  const described = [...nodes.values()].map((node) => describeNode(FS, MEMFS, node, first));
  const contents = [...nodes.values()].filter((node) => isOwnFile(FS, node)).map(bytesOf);
  const state = {
    nodes: described, streams: describeStreams(FS, nodes), next_inode: FS.nextInode, directory: FS.currentPath,
    pipes: PIPEFS.nextname.current, sockets: SOCKFS.nextname.current,
  };
  return { state, contents };
}

function demandFew(nodes) {
  let characters = 0;
  for (const { name, link } of nodes.values()) characters += name.length + (link?.length ?? 0);
  if (nodes.size > MOST_NODES || characters > MOST_CHARACTERS) throw new NotKept("has made too many files");
}

const isOwnFile = (FS, node) => FS.isFile(node.mode) && !node.entry;

/** The glue keeps contents in whatever kind of array they came in. */
const bytesOf = ({ contents, usedBytes }) => new Uint8Array(contents.buffer, contents.byteOffset, usedBytes);

function describeNode(FS, MEMFS, node, first) {
  const { id, name, mode, atime, mtime, ctime, charged = null, link = null } = node;
  const before = first.get(id);
  if (before !== undefined && before !== placeOf(node)) throw new NotKept(`has moved ${FS.getPath(node)}`);
  if (before === undefined && kindOf(FS, MEMFS, node) === null) throw new NotKept(`has made ${FS.getPath(node)}`);
  if (![atime, mtime, ctime].every(Number.isFinite)) throw new NotKept(`has given ${FS.getPath(node)} a time that is none`);
  const size = isOwnFile(FS, node) ? node.usedBytes : null;
  return [id, node.parent.id, name, kindOf(FS, MEMFS, node), mode, [atime, mtime, ctime], charged, link, size];
}

/** What a node that is made in a run can be; null for all else. */
function kindOf(FS, MEMFS, node) {
  if (node.entry) return "handed";
  const { dir, file, link } = MEMFS.ops_table;
  if (FS.isDir(node.mode) && node.node_ops === dir.node) return "own";
  if (FS.isFile(node.mode) && node.node_ops === file.node) return "own";
  return FS.isLink(node.mode) && node.node_ops === link.node ? "own" : null;
}

function describeStreams(FS, nodes) {
  const owners = new Map();
  return FS.streams.filter(Boolean).map((stream) => {
    const { fd, node, path, flags, position, seekable, error, ungotten, shared } = stream;
    if (nodes.get(node.id) !== node) throw new NotKept(`has ${path} open, which is in no directory`);
    if (!FS.isFile(node.mode) && !FS.isChrdev(node.mode)) throw new NotKept(`has ${path} open, which is no file`);
    const strange = Object.keys(stream).find((key) => !STREAM_KEYS.has(key));
    if (strange !== undefined || error || ungotten.length > 0) throw new NotKept(`has ${path} open in a way of its own`);
    if (!owners.has(shared)) owners.set(shared, fd);
    const owner = owners.get(shared) === fd ? null : owners.get(shared);
    return { fd, owner, node: node.id, path, flags, position, seekable };
  });
}

/**
 * Bring the tree with which a run begins, and its open files, to what was written down.
 *
 * @param {object} Module the Emscripten module; the tree is laid out, nothing has run
 * @param {object} state
 * @param {(length: number) => Uint8Array} take the next bytes of the contents
 */
export function restoreFiles({ FS, MEMFS, PIPEFS, SOCKFS }, state, take) {
  const nodes = nodesOf(FS);
  const wanted = new Map(state.nodes.map((described) => [described[0], described]));
  for (const [id, node] of nodes) {
    if (wanted.has(id)) continue;
    FS.hashRemoveNode(node);
    delete node.parent.contents?.[node.name];
    nodes.delete(id);
  }
  for (const id of wanted.keys()) makeNode({ FS, MEMFS }, nodes, wanted, id);
  for (const [id, , , , mode, [atime, mtime, ctime], charged, link, size] of state.nodes) {
    const node = nodes.get(id);
    Object.assign(node, { mode, atime, mtime, ctime });
    if (charged !== null) node.charged = charged;
    if (link !== null) node.link = link;
    if (size !== null) Object.assign(node, { contents: take(size).slice(), usedBytes: size });
  }
  FS.nextInode = state.next_inode;
  FS.currentPath = state.directory;
  PIPEFS.nextname.current = state.pipes;
  SOCKFS.nextname.current = state.sockets;
  FS.streams.length = 0;
  for (const stream of state.streams) openStream(FS, nodes, stream);
}

/** Make a node that is not there yet, with its inode number, its parents before it. */
function makeNode({ FS, MEMFS }, nodes, wanted, id) {
  if (nodes.has(id)) return nodes.get(id);
  const [, parentId, name, kind, mode] = wanted.get(id);
  const parent = makeNode({ FS, MEMFS }, nodes, wanted, parentId);
  FS.nextInode = id;
  const node = kind === "handed" ? parent.node_ops.lookup(parent, name) : MEMFS.createNode(parent, name, mode, 0);
  nodes.set(id, node);
  return node;
}

function openStream(FS, nodes, { fd, owner, node: id, path, flags, position, seekable }) {
  if (owner !== null) {
    FS.createStream(FS.streams[owner], fd);
    return;
  }
  const node = nodes.get(id);
  const made = { node, path, flags, position, seekable: true, stream_ops: node.stream_ops, ungotten: [], error: false };
  const stream = FS.createStream(made, fd);
  stream.stream_ops.open?.(stream);
  stream.seekable = seekable;
}
