"""What the verifier of 2022 accepted, at each shard: the comparison, the session and the machines are held to it."""

ACCEPTANCE = [
    # nodes, liars, confidence asked for, (verified, refused)
    (1, 0, None, (0, 1)),
    (1, 0, 1, (1, 0)),
    (3, 0, 2, (3, 0)),
    (3, 1, 2, (2, 1)),
    (2, 1, 2, (0, 2)),
    (5, 2, 4, (0, 5)),
]
