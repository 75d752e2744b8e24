"""The pages: what a browser shows of a node, or of a home without one."""
