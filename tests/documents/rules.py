"""What is not run where it stands in a document, and which test runs it instead; what blocks show that is not to run.

Every entry is looked for: a test that is not there, and an entry that nothing needs any more, are failures.
"""

from __future__ import annotations

from typing import Final

TESTED_BY: Final = {
    r"make demo": "tests/integration/test_documents.py::test_the_demo_prints_what_the_readme_shows",
    r"make test": ".ci/run::make test",
    r"bacalhau run docker (busybox:1.36|IMAGE) .*": (
        "tests/integration/test_docker.py::test_the_command_runs_keeps_and_lays_out"
    ),
    r"bacalhau run notebook functions/notebooks/climate.ipynb .*": (
        "tests/integration/test_notebooks.py::test_three_real_notebooks_run_verify_and_are_whole"
    ),
    r"bacalhau run flow functions/flows/c_library/flow.yaml --dry-run": (
        "tests/integration/test_flows.py::test_a_c_library_is_compiled_and_linked"
    ),
    r"bacalhau chaos FUNCTION": "tests/integration/test_chaos.py::test_the_planted_line_is_named",
    r"bacalhau devstack .*": (
        "tests/integration/test_devstack_liars.py::test_a_copycat_is_convicted_by_a_digest_that_it_cannot_open"
    ),
    r"bacalhau serve --workers .*": (
        "tests/integration/test_dask.py::test_a_node_runs_what_is_submitted_to_it_on_the_workers"
    ),
    r"bacalhau serve --docker .*": (
        "tests/integration/test_docker_network.py::test_two_nodes_run_a_container_and_one_is_killed_in_the_middle_of_another"
    ),
    r"bacalhau serve .*--limit.*": "tests/unit/bacalhau/test_serve_options.py",
    r"bacalhau serve --peer .*": (
        "tests/integration/test_network.py::test_a_liar_among_four_nodes_is_named_and_what_is_left_is_the_truth"
    ),
    r"OTEL_\w+=\S+ bacalhau serve": "tests/unit/bacalhau/test_tracing.py::test_the_usual_variables_turn_it_on",
    r"bacalhau web": "tests/integration/test_documents.py::test_the_pages_are_announced_and_end_with_an_interrupt",
    r"bacalhau publish CID --to kubo:URL": "tests/integration/test_kubo.py::test_publish_and_fetch_go_round",
    r"bacalhau fetch CID --from gateway:URL": "tests/integration/test_kubo.py::test_publish_and_fetch_go_round",
    r"clang .*": "tests/integration/test_wasm.py::test_programs_in_c",
    r"rustc .*": "tests/integration/test_wasm.py::test_programs_in_rust",
    r"GOOS=.* go build .*": "tests/integration/test_wasm.py::test_programs_in_go",
    r"pip install dist/.*": (
        "tests/integration/test_installed_wheel.py::test_uv_installs_it_as_a_tool_that_runs_in_another_directory"
    ),
    r"pip install \./verifier": (
        "tests/integration/test_auditors_install.py::test_it_audits_a_file_with_nothing_else_installed"
    ),
    r"(uv )?pip install '?bacalhau\[[a-z,]+\].*": (
        "tests/integration/test_documents.py::test_what_documents_install_is_there_to_install"
    ),
}
"""A command, as a pattern of all of it -> `file::test`, or `file::text` for what is no test; its flags are checked."""

NAMED_ONLY: Final = {
    r"bacalhau > network > .*": "layers of imports",
    r"bacalhau run mine": "a slip: tests/unit/bacalhau/test_command_polish.py",
    r"(git clone.*|export PATH=.*|mkdir mine)": "what blocks of README.md and docs/index.md have, where it is run",
    r"bacalhau-audit --deep": "tests/integration/test_auditors_install.py",
    r"(go install|ipfs add).*": "commands of Kubo: tests/integration/test_kubo.py",
    r"docker (stop|exec NODE bacalhau …)": "commands of Docker",
    r"node tests/interop/graph_times.mjs \d+": "a measurement",
    r"ssh -L .*": "a command of OpenSSH",
    r"systemctl enable --now bacalhau": "docs/deploy",
    r"uv (sync|pip (sync|compile)) ?.*": "commands of uv in decisions",
    r"pip install (bacalhau|\.)": "what a decision says about packages",
}
"""What a sentence names that is none of our commands -> why; in a block it would have to be run."""

SHOWN: Final = {
    "docs/architecture.md: Request ->": "the stages",
    'docs/audit.md: "bacalhau-signature/1"': "bytes",
    'docs/audit.md: {v: "commitment-preimage/1"': "a block",
    "docs/audit.md: rank = ": "a formula",
    "docs/chaos.md: leaky:": "tests/integration/test_chaos.py::test_the_planted_line_is_named",
    "docs/determinism.md: sha-256(": "a formula",
    "docs/determinism.md: page hash": "a formula",
    "docs/diff.md: different": "tests/integration/test_divergence.py",
    "docs/export.md: function/": "tests/unit/bacalhau/test_graph_export.py",
    "docs/flows.md: bacalhau: flow.yaml:13:20": "errors: tests/unit/bacalhau/test_run_flow.py",
    "docs/functions.md: my_function/": "the folder that the world of the documents has",
    "docs/graph.md: LogEntry": "blocks",
    "docs/instrumentation.md: local.tee": "instructions",
    "docs/lint.md: function.py:12:11": "tests/unit/bacalhau/test_lint_command.py",
    "docs/notebooks.md: function.py": "tests/unit/bacalhau/test_run_notebook.py",
    "docs/notebooks.md: bacalhau: node 1": (
        "tests/integration/test_notebooks.py::test_only_what_follows_the_first_changed_cell_runs_again"
    ),
    "docs/notebooks.md: %load_ext": "tests/unit/bacalhau/test_notebook_magic.py",
    "docs/packages.md: pandas": "a requirements.txt",
    "docs/protocol.md: requester": "messages",
    "docs/sharding.md: Merge": "blocks",
    "docs/sharding.md: bacalhau: --sharding": "an error: tests/property/test_shard_pattern.py",
    "docs/trust.md: f/(1": "a formula",
    "docs/telemetry.md: scrape_configs:": "tests/integration/test_prometheus.py::test_prometheus_scrapes_a_node",
}
"""`file: beginning` of a block that is no command and no program -> what it is, or the test that compares it."""

MORE_FLAGS: Final = {"bacalhau run python --deterministic -c 'while True: pass'": "--fuel 100000000"}
"""Flags without which a command would take minutes."""

ENDS: Final = {
    "bacalhau run python --deterministic -c 'while True: pass'": ({3}, "exit code 152"),
    "bacalhau run python f.py --concurrency 5": ({4}, ""),
    "bacalhau doctor": ({0, 4}, "jail"),
    "bacalhau diff A B": ({1}, "differ"),
    "bacalhau audit RECORD": ({0}, "valid"),
}
"""Commands that end otherwise than with 0, or of which the document says what they say -> exit codes, words."""
