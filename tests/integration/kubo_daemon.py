"""A real Kubo: built by `make kubo`, offline, on loopback, with a repository of its own that nobody else sees."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Self

from tests.requirements_gate import need

ROOT = Path(__file__).parents[2]
VARIABLE = "BACALHAU_TEST_KUBO"
READY = b"Daemon is ready"


def kubo_binary() -> Path:
    """Return the `ipfs` to test with; the test is skipped if there is none."""
    chosen = os.environ.get(VARIABLE)
    binary = Path(chosen) if chosen else ROOT / "tests" / "engines" / "kubo" / "ipfs"
    need("kubo", binary.is_file(), f"no ipfs at {binary}: make kubo, or name one in {VARIABLE}")
    return binary


class KuboDaemon:
    """A repository, and a daemon on it while the context lasts."""

    def __init__(self, binary: Path, repo: Path) -> None:
        self._binary = binary
        self._repo = repo
        # No proxies and no configuration of the person who runs the tests.
        self._environment = {
            "HOME": str(repo),
            "PATH": os.defpath,
            "IPFS_PATH": str(repo / "ipfs"),
            "IPFS_TELEMETRY": "off",
            "GOLOG_LOG_LEVEL": "error",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._api = "/ip4/127.0.0.1/tcp/0"
        self.ipfs("init", "--profile=unixfs-v1-2025", "--empty-repo")
        self._configure(self._api)

    def ipfs(self, *arguments: str, data: bytes | None = None) -> str:
        """Run the command and return what it printed."""
        done = subprocess.run(
            [self._binary, *arguments], env=self._environment, input=data, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def start(self) -> None:
        """Start the daemon and wait until it says that it is ready. A second start listens on the same port."""
        assert self._process is None
        self._process = subprocess.Popen(
            [self._binary, "daemon", "--offline"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said = []
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said.append(line)
            if READY in line:
                break
        assert READY in said[-1], b"".join(said).decode()
        self._api = (self._repo / "ipfs" / "api").read_text().strip()

    def stop(self, *, kill: bool = False) -> None:
        """End the daemon and wait for its end; with `kill` it has no time to tidy up."""
        if self._process is None:
            return
        self._process.kill() if kill else self._process.terminate()
        self._process.communicate()
        self._process = None

    def restart(self) -> None:
        """Kill the daemon and start it again at the same address."""
        self.stop(kill=True)
        self._configure(self._api)
        self.start()

    @property
    def url(self) -> str:
        """The RPC's address."""
        return f"http://127.0.0.1:{self._api.rpartition('/')[2]}"

    @property
    def gateway_url(self) -> str:
        """The gateway's address."""
        return (self._repo / "ipfs" / "gateway").read_text().strip()

    @property
    def blocks_dir(self) -> Path:
        """Where the daemon keeps its blocks, one a file."""
        return self._repo / "ipfs" / "blocks"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configure(self, api: str) -> None:
        path = self._repo / "ipfs" / "config"
        config = json.loads(path.read_text())
        config["Addresses"] |= {"API": api, "Gateway": "/ip4/127.0.0.1/tcp/0", "Swarm": []}
        config |= {"Bootstrap": [], "AutoConf": {"Enabled": False}, "DNS": {"Resolvers": {}}}
        config["Routing"] = {"Type": "none", "DelegatedRouters": []}
        config["Ipns"]["DelegatedPublishers"] = []
        config["Discovery"]["MDNS"]["Enabled"] = False
        path.write_text(json.dumps(config))
