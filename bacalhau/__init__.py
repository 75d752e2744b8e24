"""Command line and Python API: the only floor that prints."""
