"""Reads a function's source for what the sealed runtime refuses, or pins, or has no form for. Never runs it."""
