"""A node: the machines of the protocol, joined with a transport, a datastore and an engine."""
