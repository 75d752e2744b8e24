// The guest's own tree: made anew for every task, so that nothing of it can outlive a task.
//
// The runtime's files and everything that is handed over are read-only by construction; what is left of the glue's
// memory file system is a few directories and devices, which cost less to make than to compare.

import { installDevices } from "./devices.mjs";
import { boundDisk, boundPipes } from "./disk.mjs";
import { handedFs } from "./handed_fs.mjs";
import { fromHex, toHex } from "./hex.mjs";

/** Where the function may write, beside its outputs. */
const WRITABLE = ["/work", "/tmp", "/outputs"];

const EROFS = 69;

/** Bound the file systems of the glue; once, before the first file is made. */
export function tameFileSystem(Module, world) {
  boundDisk(Module, world);
  boundPipes(Module);
}

/**
 * Lay out the files of the runtime in a tree that the glue has begun.
 *
 * @param {object} Module the Emscripten module
 * @param {import("./runtime_files.mjs").RuntimeFiles} files
 */
export function layRuntimeFiles(Module, files) {
  const { FS, API } = Module;
  FS.mkdirTree(API.sitePackages);
  const fail = (error) => {
    throw error;
  };
  const handed = handedFs(Module, files, fail);
  for (const [path, entry] of files.entries()) handed.attachFile(path, entry);
  for (const path of WRITABLE) FS.analyzePath(path, true).exists || FS.mkdir(path);
  for (const path of ["/function", "/inputs", "/run", "/usr", "/usr/bin"]) FS.mkdir(path);
  if (FS.analyzePath("/home/web_user", true).exists) FS.rmdir("/home/web_user");
  FS.chdir("/work");
}

/**
 * Throw the tree away, with all open files, and make a new one: the steps of the glue when it starts, then ours.
 *
 * What else the glue has noted for the guest goes with it: names of hosts, and where in the guest's memory it has put the
 * names of protocols. The clock must stand where the tree's files are to be dated. Inodes count from 1 again.
 */
export function makeTree(Module, files, world) {
  const { FS, SOCKFS, PIPEFS, DNS, Protocols } = Module;
  Object.assign(FS, {
    root: null, mounts: [], devices: {}, streams: [], nextInode: 1, nameTable: null, currentPath: "/",
    initialized: false, ignorePermissions: true,
  });
  SOCKFS.nextname.current = PIPEFS.nextname.current = 0;
  FS.createDevice.major = undefined; // the glue begins to count where it did
  DNS.address_map = { id: 1, addrs: {}, names: {} };
  Object.assign(Protocols, { list: [], map: {} });
  world.diskUsed = 0;
  FS.staticInit();
  layRuntimeFiles(Module, files);
  FS.init();
  SOCKFS.root = FS.mount(SOCKFS, {}, null);
  PIPEFS.root = FS.mount(PIPEFS, {}, null);
  FS.ignorePermissions = false;
  installDevices(Module, world);
}

/** Mount the function's own directory, where the worker keeps it. */
export function mountSource(Module, source, world) {
  handedFs(Module, source, world.onFailure).mountDirectory("/function", source.root);
}

/** Mount the installed packages. */
export function mountWheels(Module, wheels, world) {
  handedFs(Module, wheels, world.onFailure).mountDirectory(Module.API.sitePackages, wheels.root);
}

/**
 * Mount what a task is handed, and make its directories.
 *
 * @param {object} task {mounts: [{path, handle, kind, size}], outputs: [{path}], guest: JSON text for the guest's main}
 * @param {object} remote provider of the mounts
 */
export function mountTask(Module, task, remote, world) {
  const { FS } = Module;
  const handed = handedFs(Module, remote, world.onFailure);
  for (const { path, handle, kind, size } of task.mounts) {
    if (kind === "directory") handed.mountDirectory(path, handle);
    else handed.attachFile(path, { kind, size, handle, target: null });
  }
  for (const { path } of task.outputs) FS.mkdirTree(path);
  if (!FS.analyzePath("/run/data").exists) FS.writeFile("/run/data", "");
  FS.writeFile("/run/task.json", task.guest);
}

/** Take the right to write from the tree but for the writable directories, and the right to give it back. */
export function sealTree(Module, outputs) {
  const { FS } = Module;
  seal(FS, FS.root, "/", new Set([...WRITABLE, ...outputs.map(({ path }) => path)]));
}

function seal(FS, directory, path, writable) {
  if (writable.has(path)) return;
  keepMode(FS, directory);
  for (const [name, node] of Object.entries(directory.contents)) {
    if (FS.isMountpoint(node)) continue;
    if (FS.isDir(node.mode)) seal(FS, node, path === "/" ? `/${name}` : `${path}/${name}`, writable);
    else if (FS.isFile(node.mode)) keepMode(FS, node);
  }
}

/** Make a directory or file read-only, for its owner too: permissions are all that the glue checks. */
function keepMode(FS, node) {
  node.mode = (node.mode & ~0o7777) | (FS.isDir(node.mode) ? 0o555 : 0o444);
  node.node_ops = {
    ...node.node_ops,
    setattr() {
      throw new FS.ErrnoError(EROFS);
    },
  };
}

/** Write files where the guest may not. texts: by path. */
export function writeAsHost({ FS }, texts) {
  FS.ignorePermissions = true;
  for (const [path, text] of Object.entries(texts)) FS.writeFile(path, text);
  FS.ignorePermissions = false;
}

/** Put the files of an image where they were. files: [[path, content in hex, or null for a directory]]. */
export function placeFiles({ FS }, files) {
  for (const [path, content] of files) {
    if (content === null) FS.mkdirTree(path);
    else FS.writeFile(path, fromHex(content));
  }
}

/** What is below the writable directories, directories first; empty in a tree that nobody has used. */
export function listWritten(Module) {
  const { FS } = Module;
  const found = [];
  const list = (path) => {
    for (const name of FS.readdir(path)) {
      if (name === "." || name === "..") continue;
      const child = `${path}/${name}`;
      const { mode } = FS.lstat(child);
      if (FS.isDir(mode)) {
        found.push({ path: child, kind: "directory" });
        list(child);
      } else if (FS.isFile(mode)) found.push({ path: child, kind: "file", content: toHex(FS.readFile(child)) });
      else found.push({ path: child, kind: "other" });
    }
  };
  for (const path of WRITABLE) list(path);
  return found;
}
