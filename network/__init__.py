"""Nodes, assignment, commit-reveal sessions."""
