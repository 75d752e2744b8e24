"""Has the planner answer for this machine: reads policies, finds facts when they are needed, says a clash in one line.

The solver is loaded, and the machine looked at, only where there is a policy or a flag asks for something unusual;
everything else has an answer that needs neither (`runtime.planner.wishes.plain_stack`).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bacalhau.home import Home
from bacalhau.services import Services
from runtime.jail import Level
from runtime.planner.answer import Chosen, Clash, named
from runtime.planner.question import Question
from runtime.planner.rules import Rule, holds, upper_bounds
from runtime.planner.stack import ENGINES_OF, EngineName, Isolation, Kind, Machine, Part, Place, Stack
from runtime.planner.wishes import Serving, Wishes, plain_stack, run_question, serve_question
from storage.errors import BacalhauError, UnavailableError, UserError

if TYPE_CHECKING:
    from network.node.datastore import Submission

ONE_PART: Final = (Part(engine=EngineName.PYODIDE_NODE, isolation=None),)
_HOSTS: Final = {
    EngineName.PYODIDE_NODE: "node",
    EngineName.PYODIDE_BUN: "bun",
    EngineName.WASMTIME: "wasmtime",
}
_MOST_BYTES: Final = 1 << 20
"""Read of a file; `read_policy` takes less."""
ENGINES: Final = {_HOSTS[engine]: engine for engine in ENGINES_OF[Kind.PYTHON]}
"""Names as flags write them, where there is a choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question with its answer."""

    question: Question
    answer: Chosen | Clash


def load_policy(home: Home, further: Path | None = None) -> tuple[Rule, ...]:
    """Return the rules of this home's policy, if it has one, and of a further file, which adds to it.

    Raises:
        UserError: a file cannot be read or is not understood, or the further one is not there.
    """
    own = _read(home.policy_path, must_be_there=False)
    return own if further is None else (*own, *_read(further, must_be_there=True))


def _read(path: Path, *, must_be_there: bool) -> tuple[Rule, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        text = data.decode("utf-8")
    except OSError as error:
        if error.errno == errno.ENOENT and not must_be_there:
            return ()
        # Not the same as no policy: what the operator forbids is not known.
        problem = f"the policy cannot be read: {(error.strerror or str(error)).lower()}"
        raise UserError(problem, where=str(path), fix="name a file that you can read") from error
    except UnicodeDecodeError as error:
        raise UserError("the policy is not UTF-8", where=str(path), fix="save it as UTF-8") from error
    from runtime.planner.policy import read_policy

    return read_policy(text, name=str(path))


def plan_run(wishes: Wishes, policy: tuple[Rule, ...], services: Services) -> Chosen:
    """Return the stack of a run; without a policy and unusual flags nothing is looked at.

    Raises:
        UserError: the flags contradict each other.
        UnavailableError: policy or machine do not let them be had.
    """
    plain = None if policy else plain_stack(wishes)
    if plain is not None:
        return Chosen(stack=plain, given_up=())
    return accepted(answer_run(wishes, policy, services).answer, f"run {wishes.kind}")


def answer_run(wishes: Wishes, policy: tuple[Rule, ...], services: Services) -> Answered:
    """Ask the solver about a run, whatever it is."""
    from runtime.planner.choice import choose

    question = run_question(wishes, policy, services.find_facts())
    return Answered(question=question, answer=choose(question))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStack:
    """What a node executes with, and the bounds that a policy puts on what it takes."""

    part: Part
    machine: Machine = Machine.UNKNOWN
    """As far as it was looked at."""
    max_memory: int | None = None
    """Bytes; None: as much as any run gets."""
    max_wall_clock_s: float | None = None
    """Seconds after which it gives an execution up; None: as every node does."""


def plan_node(
    policy: tuple[Rule, ...],
    services: Services,
    *,
    engine: str,
    engine_said: bool,
    strict: bool,
    computes: bool,
) -> NodeStack:
    """Return the stack on which a node executes what others ask for; one that executes nothing needs none.

    engine: as flags write it; the policy may choose another one if it was not said.

    Raises:
        UserError: the flags contradict each other.
        UnavailableError: policy or machine do not let them be had.
    """
    plain = Part(engine=ENGINES[engine], isolation=None)
    if not (policy or strict):
        return NodeStack(part=plain)
    facts = services.find_facts()
    if not computes:
        return NodeStack(part=plain, machine=facts.machine)
    from runtime.planner.choice import choose

    asked = Serving(engine=ENGINES[engine] if engine_said else None, strict=strict)
    question = serve_question(asked, policy, facts)
    stack = accepted(choose(question), "serve").stack
    bounds = upper_bounds(question.rules, stack, question.machine)
    memory = bounds.get("memory")
    return NodeStack(
        part=stack.parts[0],
        machine=facts.machine,
        max_memory=None if memory is None else int(memory),
        max_wall_clock_s=bounds.get("timeout"),
    )


def plan_rerun(services: Services, engine: str, *, said: bool) -> NodeStack:
    """Return the stack on which an audit runs a task again: to a policy, that is what serving others is.

    Raises:
        UserError: the engine is unknown.
        UnavailableError: the policy does not let it be had.
    """
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} is unknown", where="--engine", fix=f"choose one of {', '.join(ENGINES)}")
    policy = load_policy(services.home)
    return plan_node(policy, services, engine=engine, engine_said=said, strict=False, computes=True)


def objection(policy: tuple[Rule, ...], machine: Machine, job: Submission) -> str:
    """Return which rule a job that is submitted to a node breaks, empty if none; its nodes choose their engines."""
    stack = Stack(
        kind=Kind.DOCKER if job.unverified else Kind.PYTHON,
        place=Place.NODES,
        parts=(),
        diverse=job.rule.diverse,
        gpu=job.demand.gpus > 0,
        numbers={
            "nodes": job.rule.replication,
            "confidence": job.rule.confidence,
            "timeout": job.timeout_s,
            "memory": job.demand.memory,
        },
    )
    broken = (rule for rule in policy if rule.weight is None and not holds(rule, stack, machine))
    return next((f"not with the policy: {words}" for words in named(broken)), "")


def accepted(answer: Chosen | Clash, where: str) -> Chosen:
    """Return an answer that there is.

    Raises:
        UserError, UnavailableError: there is none; as `clash_error`.
    """
    if isinstance(answer, Clash):
        raise clash_error(answer, where)
    return answer


def clash_error(clash: Clash, where: str) -> BacalhauError:
    """Return the error for a clash: a wrong call if the flags alone clash, else what is not to be had here."""
    problem = f"these cannot be had together: {'; '.join(named(clash.rules))}"
    if len(clash.rules) == 1:
        problem = f"this cannot be had: {next(named(clash.rules))}"
    fixes = dict.fromkeys(rule.fix for rule in clash.rules if rule.fix)
    fix = " or ".join(fixes) or "leave one of them out"
    return (UserError if clash.is_of_request else UnavailableError)(problem, where=where, fix=fix)


def host_name(part: Part) -> str:
    """Return the engine of a part, as `Services.make_engine` names it."""
    return _HOSTS[part.engine]


def jail_level(part: Part) -> Level | None:
    """Return the level of a part's jail, None for the best there is.

    Raises:
        AssertionError: it is none: no release builds containers or virtual machines for these engines yet.
    """
    if part.isolation is None:
        return None
    if part.isolation in (Isolation.CONTAINER, Isolation.VM):
        raise AssertionError(f"nothing builds {part.isolation}")
    return Level(part.isolation.value)
