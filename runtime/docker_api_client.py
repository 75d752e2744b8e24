"""The API of Docker's engine, which Podman's service speaks too, as far as containers of ours need it.

The only file that imports `docker`, and only when an engine is really asked. Every method raises `UnavailableError`
where the engine cannot be reached or does not do what it was told, unless it says otherwise. For one thread at a time.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, BinaryIO, Final, NoReturn, Self, TypeAlias

from runtime.container_address import VARIABLE, find_address, socket_paths
from runtime.container_call import output_volume
from storage.errors import BacalhauError, UnavailableError, UserError

ANSWER_S: Final = 15.0
"""For one answer, or one piece of it, of an engine that has nothing large to do for it."""
MAKE_S: Final = 300.0
"""To make or remove a container: some storage drivers copy the whole image."""
PATIENCE_S: Final = 600.0
"""Where an engine unpacks or packs a large archive, or pulls: it may say nothing meanwhile."""
SILENT_PULL_S: Final = 120.0
"""The same where it pulls what somebody else named: before its first word nobody can hang up."""
Ending: TypeAlias = Callable[[Callable[[], None]], AbstractContextManager[None]]
_KNOCK_S: Final = 10.0
_WAIT_S: Final = 5.0
_PIECE_BYTES: Final = 1 << 20
_KEPT: Final = 300
"""Characters of what an engine says."""
_ABSENT_IMAGE: Final = re.compile(
    "no such image|not found|manifest unknown|access denied|does not exist", re.IGNORECASE
)
_NO_COMMAND: Final = re.compile("no command (specified|or entrypoint)", re.IGNORECASE)
"""Docker's and Podman's words about an image that says not what to run."""
_NO_PROGRAM: Final = re.compile(
    "command that (was not found|could not be invoked)|exec: .*: (stat|permission denied)|unable to find (user|group)"
)
"""Podman's, Docker's and runc's words about a program or a user that is not there."""
_LOCAL_URLS: Final = ("http+docker://localhost", "http+unix://")
"""What the library makes of the address of a Unix socket."""
_ARCHITECTURES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


def engine_problem(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return why there is no engine and what to do about it, as far as one sees without asking; else empty texts."""
    if find_spec("docker") is None:
        return "containers need the package docker", "install it: pip install 'bacalhau[docker]'"
    if find_address(environment, _is_socket) is None:
        looked = ", ".join(socket_paths(environment))
        return f"no Docker or Podman listens here (looked at {looked})", f"start one, or name it in {VARIABLE}"
    return "", ""


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False


def _knock(address: str) -> None:
    """See that somebody listens on a socket: the library leaves its own open where nobody does.

    Raises:
        OSError: nobody does.
    """
    path = address.removeprefix("unix://")
    if path != address:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.settimeout(_KNOCK_S)
            trial.connect(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a container can write, in the words of its engine."""

    is_local: bool
    """The engine is on this machine, as far as its address tells: these may be paths of ours."""
    mounts: tuple[str, ...]
    """Directories of its writable volumes."""
    volumes: tuple[str, ...]
    """Their names."""
    layers: tuple[str, ...]
    """The directory of its own layer, where the storage driver keeps it apart."""
    pid: int
    """Of its first process, on the engine's machine; 0: it does not run."""


class Attachment:
    """What a container writes, as it comes: pieces of stdout and of stderr. Ends with it."""

    def __init__(self, frames: Any, read: Iterator[tuple[bytes | None, bytes | None]]) -> None:
        self._frames = frames
        self.pieces = read

    def hang_up(self) -> None:
        """End it, from any thread, although the container goes on."""
        with suppress(OSError):  # its other end is gone already
            self._frames.close()


class DockerApi:
    """A connection; use as a context manager."""

    def __init__(self, client: Any, dial: Callable[[str], Any]) -> None:
        """Make one of a client of the library. dial: opens another one, for a version of the API."""
        self._client = client
        self._dial = dial
        with self._explained("asking for its version"):
            said = client.said
            components = said.get("Components") or [{}]
            self.name = "podman" if "podman" in str(components[0].get("Name", "")).lower() else "docker"
            self.version = _word(said.get("Version"))
            arch = _word(said.get("Arch"))
            self.arch = _ARCHITECTURES.get(arch, arch)

    @classmethod
    def connect(cls, environment: Mapping[str, str]) -> Self:
        """Connect to the engine that the environment names, or that listens here.

        Raises:
            UnavailableError: there is none.
        """
        problem, fix = engine_problem(environment)
        if problem:
            raise UnavailableError(problem, where="containers", fix=fix)
        import docker  # type: ignore[import-untyped]  # takes 0.2 s, and is an extra

        address = str(find_address(environment, _is_socket))

        def dial(version: str) -> Any:
            try:
                _knock(address)
                named = docker.utils.kwargs_from_env(environment=dict(environment)) if VARIABLE in environment else {}
                return _bounded_client()(**{"base_url": address, **named}, version=version, timeout=_KNOCK_S)
            except (docker.errors.DockerException, OSError) as error:
                fix = f"start it, or name another in {VARIABLE}"
                raise UnavailableError(f"does not answer: {_short(error)}", where=address, fix=fix) from error

        return cls(dial("auto"), dial)

    def again(self) -> Self:
        """Open another connection to the same engine, without asking it what it is: Podman takes a second for that.

        Raises:
            UnavailableError: it does not listen any more.
        """
        client = self._dial(str(self._client.api_version))
        client.said = self._client.said
        return type(self)(client, self._dial)

    @property
    def is_local(self) -> bool:
        """Whether the engine is on this machine, as far as its address tells: its paths may be paths of ours."""
        return str(self._client.base_url).startswith(_LOCAL_URLS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    # Images

    def image(self, reference: str) -> dict[str, Any] | None:
        """Return what is known of an image, None if it is not here."""
        import docker

        with self._explained(f"looking for image {reference}"):
            try:
                found: dict[str, Any] = self._client.inspect_image(reference)
            except docker.errors.NotFound:
                return None
        return found

    def pull(self, reference: str) -> None:
        """Bring an image here.

        Raises:
            UserError: its registry has no such image.
        """
        name, tag = _split(reference)
        doing = f"pulling image {reference}"
        with self._explained(doing, absent=_ABSENT_IMAGE, limit_s=PATIENCE_S):
            _read_pull(self._client.pull(name, tag=tag, stream=True, decode=True), doing)

    def pull_as_nobody(
        self, reference: str, ending: Callable[[Callable[[], None]], AbstractContextManager[None]]
    ) -> None:
        """Bring an image here that somebody else names, without what this machine's user is let into registries with.

        ending: gives what hangs up, from any thread, to whoever ends this; the engine pulls no more then.

        Raises:
            UserError: its registry gives no such image to everybody.
        """
        from docker.types import CancellableStream  # type: ignore[import-untyped]

        name, tag = _split(reference)
        doing = f"pulling image {reference}"
        with self._explained(doing, absent=_ABSENT_IMAGE, limit_s=SILENT_PULL_S):
            # Not `pull`, of which nobody can end the answer, and which looks for credentials.
            answer = self._client._post(
                self._client._url("/images/create"), params={"fromImage": name, "tag": tag}, stream=True
            )
            self._client._raise_for_status(answer)
            frames = CancellableStream(self._client._stream_helper(answer, decode=True), answer)
            try:
                with ending(frames.close):
                    _read_pull(frames, doing)
            finally:
                answer.close()

    # Volumes and containers

    def create_input_volume(self, name: str, labels: Mapping[str, str]) -> str:
        """Make an empty volume and return the directory where the engine has it, empty where it does not tell."""
        with self._explained("making a volume"):
            return self._volume(name, labels, {})

    def create_output_volume(self, name: str, labels: Mapping[str, str], most_bytes: int) -> str:
        """Make a volume to be written to, and return the same.

        It holds no more than `most_bytes` where the engine and its file system can see to that, and anything elsewhere.
        """
        import docker

        with self._explained("making a volume"):
            with suppress(docker.errors.APIError):  # without project quotas no such volume is made
                return self._volume(name, labels, output_volume(self.name, most_bytes))
            return self._volume(name, labels, output_volume(self.name, None))

    def _volume(self, name: str, labels: Mapping[str, str], options: Mapping[str, str]) -> str:
        said = self._client.create_volume(name=name, labels=dict(labels), driver_opts=dict(options))
        return str(said.get("Mountpoint") or "") if self.is_local else ""

    def create_container(self, body: Mapping[str, Any]) -> str:
        """Make a container that does not run yet, and return its id.

        What its `StorageOpt` says holds where the storage driver can see to it, and is left out elsewhere.
        """
        import docker

        try:
            with self._explained("making a container", limit_s=MAKE_S):
                if "StorageOpt" in body["HostConfig"]:
                    with suppress(docker.errors.APIError):
                        return str(self._client.create_container_from_config(dict(body))["Id"])
                host = {name: value for name, value in body["HostConfig"].items() if name != "StorageOpt"}
                return str(self._client.create_container_from_config({**body, "HostConfig": host})["Id"])
        except UnavailableError as error:
            if not _NO_COMMAND.search(error.problem):
                raise
            fix = "write one behind it: -- CMD…"
            raise UserError("the image names no command", where="run docker", fix=fix) from error

    def unpack(self, container: str, path: str, archive: BinaryIO | bytes) -> None:
        """Unpack a tar in a directory of a container."""
        with self._explained("handing over inputs", limit_s=PATIENCE_S):
            self._client.put_archive(container, path, archive)

    def archive(self, container: str, path: str) -> Generator[bytes, None, None]:
        """Yield a directory of a container as a tar. Close it: the engine keeps the container locked until then."""
        # Not `get_archive`, of which nobody can close the answer.
        url = f"{self._client.base_url}/v{self._client.api_version}/containers/{container}/archive"
        asked = {"params": {"path": path}, "stream": True, "timeout": PATIENCE_S}
        with self._explained(f"reading {path}"), self._client.get(url, **asked) as answer:
            answer.raise_for_status()
            yield from answer.iter_content(_PIECE_BYTES)

    @contextmanager
    def attached(self, container: str) -> Iterator[Attachment]:
        """Give what a container writes from now on.

        Raises:
            UserError: its program cannot be started, which Podman sees now.
        """
        import docker

        with self._explained("attaching to a container"):
            try:
                frames = self._client.attach(container, stdout=True, stderr=True, stream=True, demux=True)
            except docker.errors.APIError as error:
                if not _NO_PROGRAM.search(str(error.explanation)):
                    raise
                raise _not_started(error) from error
        try:
            yield Attachment(frames, self._frames(frames))
        finally:
            with suppress(OSError):  # its other end is gone already
                frames.close()
            frames._response.close()  # `close` leaves the socket to the garbage collector

    def _frames(self, frames: Any) -> Iterator[tuple[bytes | None, bytes | None]]:
        with self._explained("reading what a container writes"):
            yield from frames

    def start(self, container: str) -> None:
        """Start a container.

        Raises:
            UserError: its program cannot be started.
        """
        import docker

        with self._explained("starting a container", limit_s=MAKE_S):
            try:
                self._client.start(container)
            except docker.errors.APIError as error:
                if not error.is_client_error() and not _NO_PROGRAM.search(str(error.explanation)):
                    raise
                raise _not_started(error) from error

    def ended(self, container: str, is_over: Callable[[], bool]) -> tuple[int, bool]:
        """Wait for a container's end and return its exit code, and whether it was killed for its memory.

        is_over: asked now and then whether nobody waits any more, which is an UnavailableError then. A program may
        have closed what it writes to, and go on.
        """
        with self._explained("waiting for a container"):
            while (code := self._wait(container)) is None:
                if is_over():
                    raise UnavailableError("nobody waits for it any more", where="waiting for a container")
            state = self._client.inspect_container(container)["State"]
        return code, bool(state.get("OOMKilled"))

    def _wait(self, container: str) -> int | None:
        """Return a container's exit code, None if it has not ended after a while."""
        import requests

        try:
            return int(self._client.wait(container, timeout=_WAIT_S)["StatusCode"])
        except (requests.exceptions.Timeout, requests.exceptions.ConnectionError) as error:
            if "timed out" not in str(error).lower():
                raise
            return None

    def kill(self, container: str) -> bool:
        """End a container at once; tell whether the engine answered. One that does not run is left as it is."""
        import docker

        try:
            with self._explained("ending a container"), suppress(docker.errors.APIError):
                self._client.kill(container)
        except UnavailableError:
            return False
        return True

    # How much it writes

    def places(self, container: str) -> Places:
        """Return where a container can write."""
        with self._explained("looking at a container"):
            said = self._client.inspect_container(container)
        mounts = [one for one in said.get("Mounts") or () if one.get("Type") == "volume" and one.get("RW")]
        upper = ((said.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir")
        return Places(
            is_local=self.is_local,
            mounts=tuple(str(one.get("Source") or "") for one in mounts),
            volumes=tuple(str(one.get("Name") or "") for one in mounts),
            layers=(str(upper),) if upper else (),
            pid=int((said.get("State") or {}).get("Pid") or 0),
        )

    def layer_bytes(self, container: str) -> int:
        """Return how much a container wrote to its own layer."""
        with self._explained("looking at a container", limit_s=PATIENCE_S):
            found = self._client.containers(all=True, size=True, filters={"id": container})
        return max((int(one.get("SizeRw") or 0) for one in found), default=0)

    def volume_bytes(self, names: Collection[str]) -> int:
        """Return how much volumes have together; the engine adds up all that it has for that."""
        with self._explained("looking at volumes", limit_s=PATIENCE_S):
            found = self._client.df().get("Volumes") or ()
        ours = [one for one in found if one.get("Name") in names]
        return sum(max(0, int((one.get("UsageData") or {}).get("Size") or 0)) for one in ours)

    # What has a label

    def label_values(self, label: str, value: str, other: str) -> set[str]:
        """Return the values of another label on all containers and volumes that have this one."""
        with self._explained("listing containers"):
            filters = {"label": [f"{label}={value}"]}
            containers = self._client.containers(all=True, filters=filters)
            volumes = self._client.volumes(filters=filters).get("Volumes") or []
        found = ((one.get("Labels") or {}).get(other) for one in (*containers, *volumes))
        return {str(text) for text in found if text}

    def remove_labelled(self, label: str, value: str) -> list[str]:
        """Remove all containers, running ones too, and volumes that have a label; return their names."""
        import docker

        gone: list[str] = []
        filters = {"label": [f"{label}={value}"]}
        with self._explained("listing containers"):
            containers = self._client.containers(all=True, filters=filters)
            volumes = self._client.volumes(filters=filters).get("Volumes") or []
        with self._explained("removing what was left", limit_s=MAKE_S):
            for one in containers:
                with suppress(docker.errors.NotFound):
                    self._client.remove_container(one["Id"], v=True, force=True)
                    gone.append(f"container {str(one['Id'])[:12]}")
            for one in volumes:
                with suppress(docker.errors.NotFound):
                    self._client.remove_volume(one["Name"], force=True)
                    gone.append(f"volume {one['Name']}")
        return gone

    @contextmanager
    def _explained(
        self, doing: str, absent: re.Pattern[str] | None = None, *, limit_s: float = ANSWER_S
    ) -> Iterator[None]:
        """Turn whatever the library raises into one of our errors. limit_s: for an answer, and between its pieces."""
        self._client.timeout = limit_s
        import docker
        import requests

        try:
            yield
        except BacalhauError:
            raise
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError, ValueError) as error:
            _refuse(doing, _short(error), absent, error)
        except Exception as error:
            # urllib3's are of no family that requests or docker names, and it is no dependency of ours.
            if not type(error).__module__.startswith("urllib3."):
                raise
            _refuse(doing, _short(error), absent, error)


def _bounded_client() -> Any:
    """Return the library's client, with a limit also for the calls for which it sets none (`wait`, `pull`).

    `said` of one that was opened for the version "auto" is what the engine says of itself.
    """
    import docker

    class BoundedClient(docker.APIClient):  # type: ignore[misc]
        def _retrieve_server_version(self) -> str:
            """Keep all that it says of itself: the library asks for its version, and we would a second time."""
            try:
                self.said: dict[str, Any] = self.version(api_version=False)
                version = self.said["ApiVersion"]
            except (KeyError, TypeError, IndexError) as error:
                raise docker.errors.DockerException(f"no container engine: {error!r}") from error
            if not isinstance(version, str):
                raise docker.errors.DockerException("no container engine: its version is no text")
            return version

        def request(self, method: str, url: str, **options: Any) -> Any:
            return super().request(method, url, **{**options, "timeout": options.get("timeout") or self.timeout})

    return BoundedClient


def _split(reference: str) -> tuple[str, str]:
    """Return an image's repository, and its digest or tag."""
    name, digest = reference.partition("@")[::2]
    head, colon, tag = name.rpartition(":")
    repository, tag = (head, tag) if colon and "/" not in tag else (name, "latest")
    return repository, digest or tag


def _read_pull(lines: Iterable[dict[str, Any]], doing: str) -> None:
    for line in lines:
        if "error" in line:
            _refuse(doing, str(line["error"]), _ABSENT_IMAGE)


def _refuse(doing: str, said: str, absent: re.Pattern[str] | None, error: Exception | None = None) -> NoReturn:
    if absent is not None and absent.search(said):
        raise UserError(said, where=doing, fix="check its name, or build or import it") from error
    raise UnavailableError(f"the engine failed: {said}", where=doing, fix="see its own log") from error


def _not_started(error: Exception) -> UserError:
    fix = "check the command and --user, and that the image has them"
    return UserError(f"cannot be started: {_short(error)}", where="run docker", fix=fix)


def _short(error: Exception) -> str:
    """Return what an engine says, in one line."""
    if "timed out" in str(error).lower():
        return "nothing came in time"
    text = str(getattr(error, "explanation", None) or error)
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return plain[:_KEPT] or type(error).__name__


def _word(value: object) -> str:
    """Return a short text that a record can hold."""
    text = "".join(letter for letter in str(value or "") if letter.isprintable())[:100]
    return text or "unknown"
