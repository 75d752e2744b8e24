"""Differentiate, simplify and integrate formulas, and check the calculus by going back."""

import re

import sympy
from sympy.parsing.sympy_parser import convert_xor, parse_expr, standard_transformations

# The parser evaluates what it reads as Python, so nothing but names, numbers, operators and calls may reach it.
FORMULA = re.compile(r"(?:[A-Za-z0-9 +\-*/^(),]|\.(?=[0-9])|_(?!_))+")


def main(data, variable="x"):
    """Work through formulas, one per line.

    data: UTF-8 text; empty lines and what follows a # are skipped. A formula is written as in Python, ^ is a power; the
    variable is real, and every other name is a positive constant unless SymPy has a meaning for it (sin, pi, E, I).
    variable: the symbol to differentiate and integrate by.

    Returns {"variable", "formulas": [{"formula", "derivative", "simplified", "integral", "confirmed"}, ...]} with the
    expressions as strings. `integral` is null where no closed form was found; `confirmed` is true when its derivative
    simplifies to the formula again, false when that could not be shown, and null without an integral.
    Raises ValueError when a line is not a formula or there is none.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", str(variable)):
        raise ValueError(f"variable must be a name, not {variable!r}")
    x = sympy.Symbol(variable, real=True)
    lines = [line.partition("#")[0].strip() for line in data.read().decode().splitlines()]
    formulas = [parse(line, number, x) for number, line in enumerate(lines, start=1) if line]
    if not formulas:
        raise ValueError("the input has no formula: write one per line")
    return {"variable": variable, "formulas": [work(formula, x) for formula in formulas]}


def parse(line, number, x):
    """Parse one line to a SymPy expression in x and positive constants."""
    if not FORMULA.fullmatch(line):
        raise ValueError(f"line {number} has characters that no formula has: {line!r}")
    try:
        formula = parse_expr(line, {x.name: x}, (*standard_transformations, convert_xor))
    except Exception as error:  # noqa: BLE001 (the parser passes on whatever the line raises when it is evaluated)
        raise ValueError(f"line {number} is not a formula: {line!r}: {error}") from None
    if not isinstance(formula, sympy.Expr):
        raise ValueError(f"line {number} is not a formula: {line!r} does not stand for a value")  # noqa: TRY004
    constants = formula.free_symbols - {x}
    return formula.subs({constant: sympy.Symbol(constant.name, positive=True) for constant in constants})


def work(formula, x):
    """Derive, simplify, integrate and check one formula."""
    integral = sympy.integrate(formula, x)
    closed = not integral.has(sympy.Integral)
    return {
        "formula": str(formula),
        "derivative": str(sympy.simplify(sympy.diff(formula, x))),
        "simplified": str(sympy.simplify(formula)),
        "integral": str(integral) if closed else None,
        "confirmed": sympy.simplify(sympy.diff(integral, x) - formula) == 0 if closed else None,
    }
