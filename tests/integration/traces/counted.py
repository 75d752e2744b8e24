"""A module of the function's own, with state."""

calls = []


def count():
    calls.append(len(calls))
    return len(calls)
