"""Trials of a function under varied seed, time, hashes, addresses and orders: what reaches its output, and how."""
