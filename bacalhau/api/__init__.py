"""The HTTP API of a running node (docs/api.md). Needs the extra `network`; only a node loads it."""
