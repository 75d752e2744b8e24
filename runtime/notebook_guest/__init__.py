"""Runs the cells of a notebook inside the guest.

These files are copied into every notebook's function as the package `_notebook`; nothing here imports the rest of the
project. `cell_source` is pure, and the host reads cells with it too.
"""
