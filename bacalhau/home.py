"""Where this user's blocks, jobs, keys and runtimes are kept: `BACALHAU_DIR`, or the platform's data folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from storage.errors import UnavailableError, UserError

VARIABLE: Final = "BACALHAU_DIR"
_FIX: Final = f"point {VARIABLE} to a folder that you can write to"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder and what is where in it. Paths only: nothing exists before `create`."""

    root: Path

    @property
    def store_path(self) -> Path:
        """The block store's database."""
        return self.root / "store" / "blocks.sqlite"

    @property
    def datastore_path(self) -> Path:
        """The database of jobs."""
        return self.root / "datastore.sqlite"

    @property
    def keys_dir(self) -> Path:
        """One file per node key."""
        return self.root / "keys"

    @property
    def api_token_path(self) -> Path:
        """What opens the API of a node of this folder."""
        return self.root / "api-token"

    @property
    def policy_path(self) -> Path:
        """What the operator allows; no file, no policy."""
        return self.root / "policy.toml"

    @property
    def config_path(self) -> Path:
        """Flags that this user always wants; no file, none."""
        return self.root / "config.toml"

    @property
    def node_path(self) -> Path:
        """Where a running node says how to reach it: JSON, gone when it has stopped in order."""
        return self.root / "node.json"

    @property
    def runtimes_dir(self) -> Path:
        """Prepared runtimes, laid out for Node."""
        return self.root / "runtimes"

    @property
    def wheels_dir(self) -> Path:
        """Wheels as files, for workers to read from."""
        return self.root / "wheels"

    @property
    def images_dir(self) -> Path:
        """Interpreters written down, for workers to start from; may be deleted at any time."""
        return self.root / "images"

    @property
    def checkpoints_dir(self) -> Path:
        """States of runs between two steps, for changed functions to go on from; may be deleted at any time."""
        return self.root / "checkpoints"

    @property
    def modules_dir(self) -> Path:
        """Compiled WebAssembly modules: code that workers run. May be deleted at any time."""
        return self.root / "modules"

    @property
    def containers_dir(self) -> Path:
        """Whose containers there are: leases of processes that run some."""
        return self.root / "containers"

    @property
    def cache_dir(self) -> Path:
        """What may be deleted at any time and is fetched or computed again."""
        return self.root / "cache"

    def create(self) -> None:
        """Make the folder, open to its owner alone, unless it is there.

        Raises:
            UserError: it cannot be made or written to.
            UnavailableError: the disk is full.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                fix = "make room on its disk"
                raise UnavailableError(f"cannot be made: {reason}", where=str(self.root), fix=fix) from error
            raise UserError(f"cannot be used: {reason}", where=str(self.root), fix=_FIX) from error
        if not os.access(self.root, os.R_OK | os.W_OK | os.X_OK):
            raise UserError("cannot be used: no permission to write there", where=str(self.root), fix=_FIX)


def find_home(environment: Mapping[str, str]) -> Home:
    """Return the home that the environment names; makes nothing."""
    chosen = environment.get(VARIABLE, "")
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    from platformdirs import user_data_path

    return Home(user_data_path("bacalhau", appauthor=False))
