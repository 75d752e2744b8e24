"""The 46 functions of `wasi_snapshot_preview1`: their types, and the one object that answers all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from runtime.wasi_abi import Errno, WasiError
from runtime.wasi_clock import Clock, Entropy
from runtime.wasi_descriptors import Descriptors
from runtime.wasi_files import FdCalls
from runtime.wasi_memory import GuestMemory
from runtime.wasi_nodes import Space
from runtime.wasi_paths import PathCalls
from runtime.wasi_system import SystemCalls
from runtime.wasi_tree import Tree

MODULE: Final = "wasi_snapshot_preview1"
CALL_FUEL: Final = 20_000
"""What a call costs the guest beside what its instructions do: the host takes so long for it, about."""

SIGNATURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "args_get": "ii", "args_sizes_get": "ii", "environ_get": "ii", "environ_sizes_get": "ii",
        "clock_res_get": "ii", "clock_time_get": "iIi",
        "fd_advise": "iIIi", "fd_allocate": "iII", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_get": "ii",
        "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "iII", "fd_filestat_get": "ii",
        "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi", "fd_pread": "iiiIi", "fd_prestat_get": "ii",
        "fd_prestat_dir_name": "iii", "fd_pwrite": "iiiIi", "fd_read": "iiii", "fd_readdir": "iiiIi",
        "fd_renumber": "ii", "fd_seek": "iIii", "fd_sync": "i", "fd_tell": "ii", "fd_write": "iiii",
        "path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiiIIi",
        "path_link": "iiiiiii", "path_open": "iiiiiIIii", "path_readlink": "iiiiii",
        "path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii",
        "poll_oneoff": "iiii", "proc_exit": "i", "proc_raise": "i", "sched_yield": "", "random_get": "ii",
        "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
    }
)  # fmt: skip
"""Parameters by name: i is an i32, I an i64. All return an i32, the error number, but for `proc_exit`."""
RETURNS_NOTHING: Final = frozenset({"proc_exit"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What answers a guest's calls."""

    memory: GuestMemory
    descriptors: Descriptors
    tree: Tree
    space: Space
    calls: Mapping[str, Callable[..., None]]
    """By name, one for each of SIGNATURES."""

    def call(self, name: str, *numbers: int) -> int:
        """Answer a call of the guest: the error number.

        Raises:
            GuestExitError: the guest has ended by itself. Whatever a stream or a provider raises goes through, too.
        """
        try:
            self.calls[name](*numbers)
        except WasiError as error:
            return int(error.errno)
        return int(Errno.SUCCESS)

    def spent(self) -> int:
        """Return the fuel for what was done since the last time it was asked for, one call at least."""
        fuel = CALL_FUEL + self.memory.touched + self.space.work
        self.memory.touched = self.space.work = 0
        return fuel


def make_host(
    *,
    memory: GuestMemory,
    descriptors: Descriptors,
    tree: Tree,
    clock: Clock,
    entropy: Entropy,
    arguments: Sequence[str],
    environment: Sequence[str],
) -> Host:
    """Return a host. environment: `K=V` each."""
    answering = (
        FdCalls(memory, descriptors, tree),
        PathCalls(memory, descriptors, tree),
        SystemCalls(memory, descriptors, clock, entropy, arguments, environment),
    )
    calls = {name: next(getattr(one, name) for one in answering if hasattr(one, name)) for name in SIGNATURES}
    return Host(
        memory=memory, descriptors=descriptors, tree=tree, space=tree.space, calls=calls
    )  # fmt: skip
