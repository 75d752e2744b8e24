"""How calls of the Python API are verified, and where: counts or trust, and the node that they go to. Reads no clock.

What a call goes by is what its executor was made with, changed by the options of its function; the stack for it is
chosen as the command chooses it, from the same wishes and the same policy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bacalhau.planning import plan_run
from bacalhau.services import Services
from bacalhau.trust_report import least_rule, trust_flag, words_among_newcomers
from runtime.planner.answer import Chosen
from runtime.planner.wishes import Wish, Wishes
from runtime.quantity import parse_bytes
from runtime.request import DEFAULT_TIMEOUT_S, Request
from storage.errors import UserError
from verifier.compare import DEFAULT_CONFIDENCE, DEFAULT_REPLICATION, make_rule
from verifier.credibility import BAD_SHARE, TrustGoal
from verifier.model import ModelError, Rule

if TYPE_CHECKING:
    from bacalhau.function_options import FunctionOptions
    from bacalhau.node_client import NodeClient
    from runtime.planner.rules import Rule as PolicyRule

EXECUTOR: Final = "Executor"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTerms:
    """What a call goes by."""

    rule: Rule
    """Counts; with a trust the least that it takes, whatever is known of the nodes."""
    trust: TrustGoal | None = None
    strict: bool = False
    """Refuse where a layer of the jail is missing."""
    cache: bool = True
    """Take what was verified before."""
    node: bool | str | None = None
    """True: on a running node; False: on nodes of this process; an address: on the node there; None: on a node if
    commands would find one, else on nodes of this process."""

    def of(self, options: FunctionOptions, where: str) -> CallTerms:
        """Return the same with what the options of a function say.

        Raises:
            UserError: they do not go together.
        """
        changed = self
        if options.get("trust") is not None or options.get("bad_nodes") is not None:
            goal = trust_goal(options.get("trust"), options.get("bad_nodes"), where)
            changed = replace(changed, trust=goal, rule=least_rule(diverse=self.rule.diverse))
        return replace(changed, node=options["node"]) if "node" in options else changed

    def among_own(self) -> CallTerms:
        """Return the same for nodes of this machine, of which nothing is known."""
        if self.trust is None:
            return self
        return replace(self, rule=words_among_newcomers(self.trust, self.rule))

    def stack(
        self, request: Request, policy: tuple[PolicyRule, ...], services: Services, *, has_node: bool
    ) -> tuple[Chosen, CallTerms, Request]:
        """Return the stack that the policy lets a request have, with the terms and the request as it has them.

        Raises:
            UserError, UnavailableError: as `plan_run`.
        """
        chosen, wanted = self._chosen(self.among_own(), request, policy, services, has_node=has_node), self.among_own()
        if self.trust is not None and not chosen.stack.parts:
            # How many nodes it takes is found out by the node; here, how many there are to be at least.
            chosen, wanted = self._chosen(self, request, policy, services, has_node=has_node), self
        stack = chosen.stack
        rule = make_rule(
            replication=int(stack.numbers["nodes"]),
            confidence=int(stack.numbers["confidence"]),
            diverse=stack.diverse,
        )
        return chosen, replace(wanted, rule=rule), replace(request, timeout_s=float(stack.numbers["timeout"]))

    def _chosen(
        self,
        wanted: CallTerms,
        request: Request,
        policy: tuple[PolicyRule, ...],
        services: Services,
        *,
        has_node: bool,
    ) -> Chosen:
        wishes = Wishes(
            nodes=Wish(value=wanted.rule.replication, said=self.trust is None),
            confidence=Wish(value=wanted.rule.confidence, said=self.trust is None),
            timeout=Wish(value=request.timeout_s, said=request.timeout_s != DEFAULT_TIMEOUT_S),
            memory=Wish(value=parse_bytes(request.memory, where="memory"), said=True),
            diverse=wanted.rule.diverse,
            trust=trust_flag(self.trust),
            strict=self.strict,
            local=not has_node,
            has_node=has_node,
        )
        return plan_run(wishes, policy, services)

    def expects_node(self, services: Services) -> bool:
        """Tell whether calls are likely to go to a node; asks none."""
        from bacalhau.node_finder import VARIABLE, read_node_file

        named = isinstance(self.node, str) or bool(os.environ.get(VARIABLE))
        return self.node is not False and (named or read_node_file(services.home) is not None)

    @contextmanager
    def found_node(self, services: Services, where: str) -> Iterator[NodeClient | None]:
        """Give the node that a call goes to, None for nodes of this process.

        Raises:
            UserError: what names it is malformed, there is no token for it, one must be there and none runs, or the
                call asks for a whole jail, to which no node can be held.
            UnavailableError: it is named or runs, and does not answer.
        """
        node = self.find_node(services, where)
        if node is None:
            yield None
            return
        with node:
            if self.strict:
                problem = "is about this machine, and a node chooses others"
                raise UserError(problem, where=f"{where}: strict", fix="leave it out, or say node=False")
            yield node

    def find_node(self, services: Services, where: str) -> NodeClient | None:
        """Return the node, which the caller closes; raises as `found_node`."""
        if self.node is False:
            return None
        from bacalhau.node_finder import VARIABLE, find_node

        named = {VARIABLE: self.node} if isinstance(self.node, str) else {}
        node = find_node(services.home, {**os.environ, **named})
        if node is None and self.node is True:
            fix = "start one with `bacalhau serve`, or leave it out"
            raise UserError("needs a node, and none runs here", where=f"{where}: node", fix=fix)
        return node


def make_terms(
    *,
    concurrency: int | None,
    confidence: int | None,
    diverse: bool,
    trust: float | None,
    bad_nodes: float | None,
    strict: bool,
    cache: bool,
    node: bool | str | None,
) -> CallTerms:
    """Return the terms of an executor.

    Raises:
        UserError: they do not go together, or a number cannot be had.
    """
    if node == "":
        raise UserError("is empty", where=f"{EXECUTOR}: node", fix="name the address of a node, or leave it out")
    goal = trust_goal(trust, bad_nodes, EXECUTOR)
    if goal is None:
        rule = _rule(
            DEFAULT_REPLICATION if concurrency is None else concurrency,
            DEFAULT_CONFIDENCE if confidence is None else confidence,
            diverse=diverse,
        )
    else:
        for name, count in (("concurrency", concurrency), ("confidence", confidence)):
            if count is not None:
                fix = f"leave {name} out: how many nodes it takes is found out"
                raise UserError(f"and {name} both say how many nodes are needed", where=f"{EXECUTOR}: trust", fix=fix)
        rule = least_rule(diverse=diverse)
    return CallTerms(rule=rule, trust=goal, strict=strict, cache=cache, node=node)


def trust_goal(trust: float | None, bad_nodes: float | None, where: str) -> TrustGoal | None:
    """Return how far answers are to be trusted, None if the counts say what is wanted.

    Raises:
        UserError: it is no probability, or no number of nodes is trusted that far.
    """
    if trust is None:
        if bad_nodes is not None:
            problem = "means nothing without trust"
            raise UserError(problem, where=f"{where}: bad_nodes", fix="say how far, or leave it out")
        return None
    try:
        return TrustGoal(asked=trust, bad=BAD_SHARE if bad_nodes is None else bad_nodes)
    except UserError as error:
        raise UserError(error.problem, where=f"{where}: trust={trust}", fix=error.fix) from error


def _rule(concurrency: int, confidence: int, *, diverse: bool) -> Rule:
    """Return a rule that can be met; one node alone is believed only if that is asked for."""
    if confidence > concurrency:
        fix = "say confidence=1 to trust a single node" if concurrency == 1 else "raise concurrency"
        raise UserError(f"confidence is {confidence}, more than concurrency", where=EXECUTOR, fix=fix)
    try:
        return make_rule(replication=concurrency, confidence=confidence, diverse=diverse)
    except ModelError as error:
        raise UserError(error.problem, where=f"{EXECUTOR}: {error.field}", fix="choose another number") from error
