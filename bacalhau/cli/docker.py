"""`bacalhau docker run`: how `run docker` was spelled in 2022."""

from bacalhau.cli.lazy_group import LazyGroup

command = LazyGroup(
    "docker",
    help="The spelling of 2022: `docker run` is `run docker`.",
    lazy={"run": ("bacalhau.cli.run_docker", "Run a container; its result is never verified.")},
)
