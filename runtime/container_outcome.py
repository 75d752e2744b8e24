"""What is made of several runs of one container: never more than that they were alike."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from runtime.container_engine import ContainerRun
from storage.cid import CID
from storage.counting import counted


class RepeatVerdict(StrEnum):
    """None of these words is one of `verifier.model.Verdict`: no reader takes one for the other."""

    RAN = "ran"
    """It was run once, and nobody looked whether it does the same again."""
    REPRODUCED = "reproduced"
    """Every run gave the same output and exit code."""
    DIFFERS = "differs"
    """Two runs gave something else."""
    INCOMPLETE = "incomplete"
    """Not every run gave an output, and those that did are alike."""


def judge(runs: Sequence[ContainerRun], *, asked: int) -> RepeatVerdict:
    """Return what to say of runs of one task; asked: how many there should have been.

    Raises:
        ValueError: they are of several tasks, or more than were asked for.
    """
    if len({run.task for run in runs}) > 1:
        raise ValueError(f"runs of {counted(len({run.task for run in runs}), 'task')}")
    return judge_claims([(run.output, run.exit_code) for run in runs], asked=asked)


def judge_claims(claims: Sequence[tuple[CID, int]], *, asked: int) -> RepeatVerdict:
    """Return what to say of outputs with their exit codes, one of each run of one task, whoever says so.

    Raises:
        ValueError: there are more than were asked for.
    """
    if len(claims) > asked or asked < 1:
        raise ValueError(f"{len(claims)} of {counted(asked, 'run')}")
    if len(set(claims)) > 1:
        return RepeatVerdict.DIFFERS
    if len(claims) < asked:
        return RepeatVerdict.INCOMPLETE
    return RepeatVerdict.RAN if asked == 1 else RepeatVerdict.REPRODUCED
