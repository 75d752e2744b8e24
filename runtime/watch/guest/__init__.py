"""Goes into the guest beside a watched function (`runtime.watch.wrapping`). Knows nothing but the standard library.

Its files are ordinary modules here, so that they are checked and tested; there they are loaded under names by which
tracebacks leave them out.
"""
