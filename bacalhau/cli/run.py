"""`bacalhau run`: one subcommand for each kind of thing that can run."""

from bacalhau.cli.lazy_group import LazyGroup

command = LazyGroup(
    "run",
    help="Run something on several nodes and verify the result.",
    forgotten="python",
    lazy={
        "python": ("bacalhau.cli.run_python", "Run a Python function deterministically."),
        "wasm": ("bacalhau.cli.run_wasm", "Run a WebAssembly module deterministically."),
        "docker": ("bacalhau.cli.run_docker", "Run a container; its result is never verified."),
        "flow": ("bacalhau.cli.run_flow", "Run a flow: steps whose inputs are other steps' outputs."),
        "notebook": ("bacalhau.cli.run_notebook", "Run a Jupyter notebook deterministically."),
    },
)
