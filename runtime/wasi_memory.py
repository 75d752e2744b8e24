"""The guest's linear memory as its host sees it: every address and length comes from the guest, and is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from runtime.wasi_abi import IOVEC, U32, U64, Errno, WasiError

MAX_IOVECS: Final = 1024
"""IOV_MAX of Linux."""
MAX_TEXT_BYTES: Final = 4096
"""PATH_MAX of Linux."""


class GuestMemory:
    """Reads and writes below the end of the memory, and nowhere else."""

    def __init__(self, look: Callable[[], memoryview]) -> None:
        """Make a memory. look: returns all of it as bytes, as it is now; it may have grown since it was last asked."""
        self._look = look
        self.touched = 0
        """Bytes that were asked for: the guest pays for them."""

    def part(self, address: int, length: int) -> memoryview:
        """Return a part of the memory, not copied; good until the guest runs again.

        Raises:
            WasiError: FAULT, it is not inside.
        """
        whole = self._look()
        address, length = address & 0xFFFFFFFF, length & 0xFFFFFFFF
        if address + length > len(whole):
            raise WasiError(Errno.FAULT)
        self.touched += length
        return whole[address : address + length]

    def write(self, address: int, data: bytes) -> None:
        """Write bytes.

        Raises:
            WasiError: FAULT.
        """
        self.part(address, len(data))[:] = data

    def write_u32(self, address: int, value: int) -> None:
        """Write a number of 32 bits; raises as `write`."""
        self.write(address, U32.pack(value))

    def write_u64(self, address: int, value: int) -> None:
        """Write a number of 64 bits, or what is left of a larger one; raises as `write`."""
        self.write(address, U64.pack(value & 0xFFFFFFFFFFFFFFFF))

    def text(self, address: int, length: int) -> str:
        """Read a path.

        Raises:
            WasiError: FAULT; NAMETOOLONG; ILSEQ, it is not UTF-8; INVAL, it holds a NUL.
        """
        part = self.part(address, length)
        if len(part) > MAX_TEXT_BYTES:
            raise WasiError(Errno.NAMETOOLONG)
        try:
            text = str(part, "utf-8")
        except UnicodeDecodeError as error:
            raise WasiError(Errno.ILSEQ) from error
        if "\0" in text:
            raise WasiError(Errno.INVAL)
        return text

    def pieces(self, address: int, count: int) -> Iterator[memoryview]:
        """Yield the parts that a list of (address, length) names; all are checked before the first is given.

        Raises:
            WasiError: FAULT; INVAL, there are too many.
        """
        count &= 0xFFFFFFFF
        if count > MAX_IOVECS:
            raise WasiError(Errno.INVAL)
        listed = self.part(address, count * IOVEC.size)
        return iter([self.part(*IOVEC.unpack_from(listed, IOVEC.size * i)) for i in range(count)])
