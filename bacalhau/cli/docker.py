"""`bacalhau docker run`: how `run docker` was spelled in 2022."""

from bacalhau.cli.lazy_group import LazyGroup

command = LazyGroup(
    "docker",
    help="The 2022 spelling: `docker run` is `run docker`.",
    lazy={"run": ("bacalhau.cli.run_docker", "Run a container; its result is never verified.")},
)
