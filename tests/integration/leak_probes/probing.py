"""Where probes put what they saw. What an exception says is also something that was seen."""

SEEDED, TIMED, FIXED, ADDRESSED = {}, {}, {}, {}


def probe(into):
    """Call a function now and keep the repr of what it returns under its name."""

    def add(f):
        try:
            value = f()
        except Exception as error:
            value = f"failed: {type(error).__name__}: {error}"
        into[f.__name__] = repr(value)

    return add


def said(call, *arguments):
    """Return what the call returns, or what it raises."""
    try:
        return call(*arguments)
    except BaseException as error:
        return type(error).__name__, str(error)


def ask(module, name, *arguments):
    """Return what a function of a module returns, or what is raised, also where there is no such function."""
    return said(lambda: getattr(module, name)(*arguments))
