"""`bacalhau graph`: what the records here come of, what rests on them, and what others published."""

from bacalhau.cli.lazy_group import LazyGroup

command = LazyGroup(
    "graph",
    help="Ask where results come from, what rests on them, what others say; export it.",
    lazy={
        "show": ("bacalhau.cli.graph_show", "Show a record and what it rests on, as a tree."),
        "why": ("bacalhau.cli.graph_why", "Tell how something came to be, down to the raw inputs."),
        "dependents": ("bacalhau.cli.graph_dependents", "List the records that rest on something."),
        "export": ("bacalhau.cli.graph_export", "Write a record's provenance in a form that others read."),
        "merge": ("bacalhau.cli.graph_merge", "Check somebody's published graph and take it in."),
        "log": ("bacalhau.cli.graph_log", "Show and verify a log of published records."),
    },
)
