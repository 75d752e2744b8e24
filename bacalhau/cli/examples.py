"""Examples for the help of every command. Pure; a test reads each of them as a call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

EXAMPLES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "run": (("Run a function over a file", "bacalhau run python my_function -i data.csv"),),
    "run python": (
        ("A function of a directory over a file", "bacalhau run python my_function -i data.csv --arg column=price"),
        ("A script; what it prints is its output", "bacalhau run python -c 'print(6 * 7)'"),
        ("With packages, on five nodes of which four must agree",
         "bacalhau run python f.py -r requirements.txt --concurrency 5 --confidence 4"),
        ("Over the CSV files of a directory, a hundred at a time",
         "bacalhau run python f.py -i tables --sharding-glob-pattern '/**/*.csv' --sharding-batch-size 100"),
        ("Only say what would be run, and how", "bacalhau run python f.py -i data.csv --explain"),
    ),
    "run flow": (
        ("What would be done, and what is known", "bacalhau run flow flow.yaml --dry-run"),
        ("Do it", "bacalhau run flow flow.yaml"),
    ),
    "run notebook": (
        ("Run a notebook over a table", "bacalhau run notebook analysis.ipynb executed.ipynb -i data.csv"),
        ("Set a parameter", "bacalhau run notebook analysis.ipynb executed.ipynb -p window=21"),
    ),
    "run wasm": (
        ("A module of WASI, with its arguments", "bacalhau run wasm module.wasm -i data.csv -- --column price"),
        ("Over the CSV files of a directory, a hundred at a time",
         "bacalhau run wasm module.wasm -i tables --sharding-glob-pattern '/**/*.csv' --sharding-batch-size 100"),
    ),
    "run docker": (
        ("A program of an image over a file", "bacalhau run docker busybox -i data.csv -- wc -l /inputs/data"),
        ("Three times, to see whether it gives the same", "bacalhau run docker busybox --concurrency 3 -- date"),
        ("In this command, although a node runs here", "bacalhau run docker --local busybox -- echo hello"),
    ),
    "docker": (("As in 2022", "bacalhau docker run busybox -- echo hello"),),
    "docker run": (("As in 2022", "bacalhau docker run busybox -- echo hello"),),
    "audit": (
        ("Check a record, or the newest one of an output", "bacalhau audit bafyrei…"),
        ("Check it, and run the task again", "bacalhau audit bafyrei… --rerun"),
        ("Check a proof without anything else", "bacalhau audit --car record.car"),
        ("Check all that it comes from too", "bacalhau audit bafyrei… --deep"),
        ("Run one in twenty of a job's tasks again", "bacalhau audit 2c5c03c4 --rerun --sample 5%"),
    ),
    "graph export": (
        ("A picture of where a result comes from", "bacalhau graph export bafyrei… --format svg -o lineage.svg"),
        ("A crate for Zenodo or WorkflowHub",
         "bacalhau graph export bafyrei… --format ro-crate -o crate --published 2026-11-27"),
        ("A signed SLSA statement", "bacalhau graph export bafyrei… --format in-toto -o provenance.json"),
    ),
    "lint": (
        ("What is refused or not repeatable, by line", "bacalhau lint my_function"),
        ("For a code host", "bacalhau lint my_function --format sarif"),
    ),
    "chaos": (("Vary what should not matter", "bacalhau chaos my_function -i data.csv"),),
    "diff": (("What two jobs differ in, and where they part", "bacalhau diff 2c5c03c4 9d1e77a0"),),
    "get": (("Lay out what a job gave, with its proof", "bacalhau get 2c5c03c4 --output-dir out"),),
    "list": (
        ("The newest jobs", "bacalhau list"),
        ("The newest one as JSON", "bacalhau list --number 1 --json"),
    ),
    "describe": (("All that is known of a job", "bacalhau describe 2c5c03c4"),),
    "serve": (
        ("A node that executes for others and submits to them",
         "bacalhau serve --peer /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…"),
        ("One that gives two cores and 4 GB", "bacalhau serve --limit-total-cpu 2 --limit-total-memory 4Gb"),
        ("One that runs containers too, of images that it has", "bacalhau serve --docker"),
    ),
    "devstack": (
        ("Five nodes on this machine, of which two lie", "bacalhau devstack --nodes 5 --bad-actors liar,copycat"),
    ),
    "web": (
        ("Print the address to open in a browser", "bacalhau web"),
        ("Open it", "bacalhau web --open"),
    ),
    "events": (("Follow a job to its end", "bacalhau events -f 2c5c03c4"),),
    "logs": (("What a function wrote", "bacalhau logs 2c5c03c4"),),
    "cancel": (("Give up a job", "bacalhau cancel 2c5c03c4"),),
    "add": (("Import a directory and pin it", "bacalhau add photos --name photos-2026"),),
    "cat": (("A file of an output", "bacalhau cat bafybei…/outputs/outputs/table.csv"),),
    "ls": (
        ("A directory", "bacalhau ls bafybei…"),
        ("What a record links to", "bacalhau ls bafyrei…"),
    ),
    "fetch": (
        ("Bring content here from a gateway, checked",
         "bacalhau fetch bafybei… --from gateway:https://ipfs.io -o photos"),
    ),
    "publish": (
        ("Into a file", "bacalhau publish bafyrei… --to car:record.car"),
        ("To the Kubo daemon of this machine", "bacalhau publish bafyrei…"),
        ("A job with its proof and all it rests on, into a folder", "bacalhau publish 2c5c03c4 --to dir:published"),
    ),
    "graph": (("How an output came to be", "bacalhau graph why bafybei…"),),
    "graph show": (("A record and what it rests on", "bacalhau graph show bafyrei… --depth 5"),),
    "graph why": (
        ("How a file of an output came to be", "bacalhau graph why bafybei…/outputs/outputs/table.csv"),
        ("Where a job's inputs come from", "bacalhau graph why 2c5c03c4"),
    ),
    "graph dependents": (("What rests on an input, or on a wheel", "bacalhau graph dependents bafkrei…"),),
    "graph merge": (("Take in what somebody published", "bacalhau graph merge theirs.car"),),
    "graph log": (
        ("What was published here, verified", "bacalhau graph log"),
        ("Whether a publisher's newer log goes on from the older one",
         "bacalhau graph log old.car --against new.car"),
    ),
    "store": (("How full the store is", "bacalhau store stat"),),
    "store stat": (("How full the store is", "bacalhau store stat"),),
    "store gc": (
        ("Remove what nothing needs", "bacalhau store gc"),
        ("See how much that would be", "bacalhau store gc --dry-run"),
    ),
    "store verify": (("Read every block and check it", "bacalhau store verify"),),
    "store pins": (("What is kept, and under which name", "bacalhau store pins"),),
    "store pin": (("Keep content", "bacalhau store pin bafybei… --name photos"),),
    "store unpin": (("Keep it no longer", "bacalhau store unpin photos"),),
    "store quota": (("At most 20 GB of blocks", "bacalhau store quota 20Gb"),),
    "trust": (("What records say of the nodes that gave answers", "bacalhau trust"),),
    "id": (("Who this machine's nodes are", "bacalhau id"),),
    "doctor": (("What is here, and what is missing", "bacalhau doctor"),),
    "completion": (
        ("For bash, in ~/.bashrc", 'eval "$(bacalhau completion bash)"'),
        ("For fish", "bacalhau completion fish > ~/.config/fish/completions/bacalhau.fish"),
    ),
    "version": (("What decides a result here", "bacalhau version --json"),),
}  # fmt: skip
"""Command, without `bacalhau` -> (what it does, the line to type)."""


def give_examples(command: click.Command, path: str) -> None:
    """Put the examples of a command, and of those in it, into their help; path: its name, without `bacalhau`."""
    command.epilog = epilog(path)
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            give_examples(each, f"{path} {name}")


def epilog(path: str) -> str | None:
    """Return the end of a command's help, None if it has no examples."""
    lines = list(_lines(path))
    # \b keeps click from filling the paragraph.
    return "\b\nExamples:\n" + "\n".join(lines) if lines else None


def _lines(path: str) -> Iterator[str]:
    for what, line in EXAMPLES.get(path, ()):
        yield f"  # {what}"
        yield f"  {line}"
