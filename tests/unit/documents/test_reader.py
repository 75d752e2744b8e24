"""What finds and checks the commands of documents: what it must find, and what it must refuse."""

import pytest

from tests.documents import synopsis
from tests.documents.code_blocks import commands_of, read_document

TEXT = """# Title

Say `bacalhau list` or `make
docs`; `list` alone is no command.

    bacalhau get JOB [--output-dir D]    lays it out
    bacalhau run python f.py -c 'a  # b'   # a comment; more
    FLAG=1 make all; make none
             [--more]
    cat > f <<'END'
    x  = 1
    END

    not a command

    bacalhau id

```console
$ bacalhau version
1.0

2.0
```

- a list

        [run]
        a = 1
"""


def test_commands_are_found_with_their_lines():
    document = read_document("d.md", TEXT)
    assert [(one.line, one.text) for one in document.commands] == [
        (6, "bacalhau get JOB [--output-dir D]"),
        (7, "bacalhau run python f.py -c 'a  # b'"),
        (8, "FLAG=1 make all"),
        (8, "make none [--more]"),
        (10, "cat > f <<'END'\nx  = 1\nEND"),
        (16, "bacalhau id"),
        (19, "bacalhau version"),
    ]
    assert document.commands[-1].prints == ("1.0", "2.0")
    assert [(one.line, one.text) for one in document.named] == [(3, "bacalhau list"), (3, "make docs")]
    assert [block.kind for block in document.blocks] == ["commands", "", "commands", "commands", "toml"]


def test_what_is_no_command_among_commands_is_an_error():
    (block,) = read_document("d.md", "\n    make all\n    frobnicate all\n").blocks
    with pytest.raises(ValueError, match=r"d\.md:3: no command, among commands: 'frobnicate all'"):
        commands_of(block)


@pytest.mark.parametrize(
    "text",
    [
        "bacalhau get JOB|RECORD [--output-dir D]",
        "bacalhau graph why CID[/PATH]|JOB [--limit 200] [--json]",
        "bacalhau audit CID|JOB [--sample 5% [--sample-seed HEX]] …",
        "bacalhau lint FUNCTION [--format text|json|sarif]",
        "bacalhau serve [--limit-job-cpu|memory|disk|gpu AMOUNT] [--job-selection-…]",
        "bacalhau run notebook NB.ipynb [OUT.ipynb] [flags of run python]",
        "bacalhau run docker IMAGE -- CMD…",
        "bacalhau graph",
    ],
)
def test_a_synopsis_of_a_command_holds(text):
    synopsis.check(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bacalhau gte JOB", "no command 'gte'"),
        ("bacalhau graph wy CID", "no command 'graph wy'"),
        ("bacalhau get JOB [--output D]", "no option --output; it has"),
        ("bacalhau get [--output-dir D]", "takes 1 to 1 arguments, and gets \\[\\]"),
        ("bacalhau get JOB OTHER", "takes 1 to 1 arguments"),
        ("bacalhau get JOB [--output-dir]", "takes a value, and gets none"),
        ("bacalhau lint FUNCTION [--format text|json]", "takes one of"),
        ("bacalhau lint FUNCTION [--format xml]", "does not take 'xml'"),
        ("bacalhau graph show CID [--depth many]", "does not take 'many'"),
        ("bacalhau serve [--limit-job-cpu|memry AMOUNT]", "no option --limit-job-memry"),
        ("bacalhau serve [--jop-…]", "no option that begins with --jop-"),
        ("bacalhau get JOB [--output-dir D", "is not closed"),
        ("bacalhau graph CID", "no command 'graph CID'"),
        ("bacalhau graph [--depth 3]", "is a group"),
    ],
)
def test_a_synopsis_that_is_not_so_is_refused(text, said):
    with pytest.raises(synopsis.SynopsisError, match=said):
        synopsis.check(text)


def test_alternatives_of_commands_are_calls_of_their_own():
    assert synopsis.calls("bacalhau store stat|gc") == ["bacalhau store stat", "bacalhau store gc"]
    assert synopsis.calls("bacalhau get JOB|CID") == ["bacalhau get JOB|CID"]
