"""Runs a function under watch: with what it asks for written down, varied on purpose, or stopped at a line."""
