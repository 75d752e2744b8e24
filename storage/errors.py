"""The four families of expected errors; everything else is a bug of ours.

Each family answers "whose fault is it?" and so decides the exit code (made in `bacalhau.cli`, nowhere else).
Errors carry fields; the sentence a person reads is put together where it is printed.
"""

from __future__ import annotations


class BacalhauError(Exception):
    """Root of all expected errors.

    problem: what is wrong, without the place, lower case, no full stop.
    where: the file, flag, CID, line or peer it is about; empty if the problem names it.
    fix: what to do next, imperative; empty if nothing can be done by the reader.
    """

    def __init__(self, problem: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """Join the fields in the order place, problem, advice."""
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{head}; {self.fix}" if self.fix else head


class UserError(BacalhauError):
    """The call is wrong: fix the command, the function or the file (exit code 2)."""


class PeerError(BacalhauError):
    """A peer broke the rules.

    peer: who; evidence: CIDs or bytes that show it to a third party.
    """

    def __init__(self, problem: str, *, peer: str, evidence: tuple[bytes, ...] = (), fix: str = "") -> None:
        super().__init__(problem, where=peer, fix=fix)
        self.peer = peer
        self.evidence = evidence


class VerificationError(BacalhauError):
    """Something was checked and is false (exit code 1)."""


class UnavailableError(BacalhauError):
    """Something could not be checked or reached: unknown, never "verified" (exit code 4)."""
