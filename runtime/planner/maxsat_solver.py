"""The solver: weighted MaxSAT and smallest unsatisfiable cores, by python-sat. No other file imports it.

Loading it takes a tenth of a second, so it is loaded when the first question is asked. It uses no randomness and no
clock: the same clauses give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Clause = list[int]


def cheapest(hard: Iterable[Clause], soft: Iterable[tuple[int, int]]) -> frozenset[int] | None:
    """Return the literals of a model that satisfies all hard clauses and violates the least weight of soft ones.

    soft: literals with what it costs when they do not hold, at least 1. None if no model satisfies the hard clauses.

    Source: A. Ignatiev, A. Morgado, J. Marques-Silva, RC2: an Efficient MaxSAT Solver, JSAT 11(1), 2019.
    """
    from pysat.examples.rc2 import RC2Stratified
    from pysat.formula import WCNF

    formula = WCNF()
    for clause in hard:
        formula.append(clause)
    for literal, weight in soft:
        formula.append([literal], weight=weight)
    with RC2Stratified(formula) as solver:
        model = solver.compute()
    return None if model is None else frozenset(model)


def smallest_core(hard: Iterable[Clause], assumed: Sequence[int]) -> tuple[int, ...] | None:
    """Return the fewest of the assumed literals that the hard clauses contradict together; None if they do not.

    Of several smallest sets it is the one whose last members come earliest: below a weight that counts them, each
    literal weighs a power of two, so no two sets weigh the same.

    Source: A. Ignatiev, A. Previti, M. Liffiton, J. Marques-Silva, Smallest MUS Extraction with Minimal Hitting Set
    Dualization, CP 2015.
    """
    from pysat.examples.optux import OptUx
    from pysat.formula import WCNF
    from pysat.solvers import Solver

    clauses = list(hard)
    with Solver(bootstrap_with=clauses) as solver:
        if solver.solve(assumptions=list(assumed)):
            return None
    formula = WCNF()
    for clause in clauses:
        formula.append(clause)
    count = len(assumed)
    for number, literal in enumerate(assumed):
        formula.append([literal], weight=(1 << count) + (1 << number))
    with OptUx(formula) as extractor:
        core = extractor.compute()
    return tuple(assumed[index - 1] for index in core or ())
