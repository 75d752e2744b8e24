"""From what is asked for, what the operator allows and what the machine has to a stack: pure, facts in, answers out.

`machine_facts_client` beside this package finds the facts, `bacalhau.planning` reads the files; the solver is in
`maxsat_solver` alone.
"""
