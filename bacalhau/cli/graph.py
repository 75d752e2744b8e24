"""`bacalhau graph`: records and what they come from."""

from bacalhau.cli.lazy_group import LazyGroup

command = LazyGroup(
    "graph",
    help="Show and export records with what they come from.",
    lazy={
        "export": ("bacalhau.cli.graph_export", "Write a record's provenance in a form that others read."),
    },
)
