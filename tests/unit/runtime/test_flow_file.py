from pathlib import Path

import pytest

from runtime.flow_file import read_flow
from runtime.flow_types import Literal, Reference, StepKind, Tree
from storage.errors import UserError

FOLDER = Path("/there")
FLOW = """\
flow: 1
args:
  top: 10
  texts: null
steps:
  count:
    function: ./count
    map:
      over: ${args.texts}
      glob: /**/*.txt
      batch: 100
  total:
    function: total.py
    reduce: {over: "${count}", glob: '/shards/*/result', batch: 2}
    volumes:
      /reference: ${count/shards/0}
    outputs:
      tables: /tables
    args:
      top: ${args.top}
      name: no
      number: "5"
      list: [1, two, null]
      costs: $${x}
    env:
      MODE: fast-${args.top}
    memory: 256Mb
    fuel: 1000
    timeout: 60
    seed: 2a
"""


def read(text, **given):
    return read_flow(text.encode(), "f.yaml", FOLDER, {"texts": "texts"} | given)


def test_a_flow():
    count, total = read(FLOW).steps
    assert (count.name, count.kind, count.at) == ("count", StepKind.MAP, "f.yaml:6:3")
    assert count.request.function == FOLDER / "count"
    assert count.data == Literal(text="/there/texts", at="f.yaml:9:13")
    assert (count.split.pattern.text, count.split.batch) == ("/**/*.txt", 100)
    assert total.kind is StepKind.REDUCE
    assert total.data == Reference(step="count", path="", at="f.yaml:14:20")
    assert total.volumes == (("/reference", Reference(step="count", path="shards/0", at="f.yaml:16:19")),)
    assert total.request.outputs == ("tables:/tables",)
    assert total.request.args == (
        "top=10", 'name="no"', 'number="5"', 'list=[1, "two", null]', 'costs="${x}"',
    )  # fmt: skip
    assert total.request.env == ("MODE=fast-10",)
    assert (total.request.memory, total.request.fuel, total.request.timeout_s) == ("256Mb", 1000, 60.0)
    assert (total.request.seed, total.request.entry) == ("2a", "main")


def test_parameters_replace_their_defaults_and_keep_their_type():
    (_, total) = read(FLOW, top="a b", texts="bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy/x").steps
    assert total.request.args[0] == 'top="a b"'
    (count, total) = read(FLOW, top="5", texts="https://host/x.csv").steps
    assert total.request.args[0] == 'top="5"'
    assert count.data.text == "https://host/x.csv"
    assert read(FLOW, texts="@urls.txt").steps[0].data.text == "@/there/urls.txt"


def test_data_put_together_and_code():
    text = "flow: 1\nsteps:\n  a:\n    code: print(1)\n  b:\n    code: |\n      print(2)\n"
    text += "    data:\n      x/y: ${a/stdout}\n      z: file\n"
    a, b = read_flow(text.encode(), "f.yaml", FOLDER, {}).steps
    assert (a.data, a.split, a.kind) == (None, None, StepKind.ONE)
    assert b.request.code == "print(2)\n"
    assert isinstance(b.data, Tree)
    assert [path for path, _ in b.data.entries] == ["x/y", "z"]
    assert [str(one) for one in b.references()] == ["${a/stdout}"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("flow: 1", "flow: 2", "f.yaml:1:7: is of version '2'; begin the file with 'flow: 1'"),
        ("flow: 1\n", "", "f.yaml:1:1: has no version; begin the file with 'flow: 1'"),
        ("flow: 1", "flow: 1\nstep: 2", "f.yaml:2:1: a flow has no 'step'; did you mean 'steps'?"),
        ("    function: ./count\n", "", "f.yaml:6:3: step count has neither function, code nor module; give one of them"),  # noqa: E501
        ("./count", "./count\n    code: x", "f.yaml:6:3: step count has function and code; give one of them"),
        ("  count:\n", "  args:\n", "f.yaml:6:3: 'args' is no name of a step; use up to 64 letters, digits, '_' and '-'; 'args' is for parameters"),  # noqa: E501
        ("function: ./count", "funktion: ./count", "f.yaml:7:5: step count has no 'funktion'; did you mean 'function'?"),  # noqa: E501
        ("function: ./count", "function: [a]", "f.yaml:7:15: function is a text; write it on one line, or as a block after '|'"),  # noqa: E501
        ("function: ./count", "function:", "f.yaml:7:14: function is empty; write something, or leave it out"),
        ("/**/*.txt", "'/[b-a]'", "f.yaml:10:13: glob '/[b-a]', character 3: has a range that ends before it begins: b-a; turn it round"),  # noqa: E501
        ("      glob: /**/*.txt\n", "", "f.yaml:9:7: map has no 'glob'; write over: CONTENT and glob: '/**/*.txt'"),
        ("batch: 100", "batch: 0", "f.yaml:11:14: batch is 0; write a number from 1 to 100000"),
        ("batch: 100", "batch: 1e3", "f.yaml:11:14: batch is 1e3; write a number from 1 to 100000"),
        ("batch: 2}", "batch: 1}", "f.yaml:14:65: batch is 1; write a number from 2 to 100000"),
        ("${count}", "${count}x", "f.yaml:14:20: takes ${count} of a step, where a value is needed before anything runs; give it as data, or in volumes, as the whole text"),  # noqa: E501
        ("${count}", "${count//x}", "f.yaml:14:20: ${count//x} has a path that is not plain; write names joined by '/'"),  # noqa: E501
        ("${count}", "${a b}", "f.yaml:14:20: ${a b} names no step; write ${step}, ${step/result}, ${step/outputs/outputs/x}, or ${args.name} for a parameter"),  # noqa: E501
        ("top: ${args.top}", "top: ${args.tip}", "f.yaml:20:12: there is no parameter 'tip'; declare it under 'args' (there: top, texts)"),  # noqa: E501
        ("top: ${args.top}", "top: ${count/result}", "f.yaml:20:12: takes ${count/result} of a step, where a value is needed before anything runs; give it as data, or in volumes, as the whole text"),  # noqa: E501
        ("/reference", "/tmp/x", "f.yaml:16:7: volumes: /tmp belongs to the runtime; choose another path, such as /inputs/x"),  # noqa: E501
        ("/reference", "/tables", "f.yaml:16:7: step total: -v: /tables lies in /tables; choose paths that do not overlap"),  # noqa: E501
        ("tables: /tables", "tables: tables", "f.yaml:18:7: step total: -o tables:tables: 'tables' is not an absolute, plain path; write it like /inputs/reference"),  # noqa: E501
        ("memory: 256Mb", "memory: 9Gb", "f.yaml:27:13: step total: --memory: 9Gb is out of range; choose between 64Mb and 4095Mb"),  # noqa: E501
        ("fuel: 1000", "fuel: much", "f.yaml:28:11: fuel is 'much'; write a whole number"),
        ("seed: 2a", "seed: x", "f.yaml:30:11: step total: --seed: 'x' is not a seed; write 1 to 64 bytes in hex, such as --seed 2a"),  # noqa: E501
        ("./count", "./count\n    arguments: [x]", "f.yaml:6:3: step count is no module, and has 'arguments'; give what a function is called with as 'args'"),  # noqa: E501
        ("function: ./count", "module: ./count.wasm\n    entry: x", "f.yaml:6:3: step count is a module, and has 'entry'; give a module a list of texts as 'arguments', or leave it out"),  # noqa: E501
        ("function: ./count", "module: ./count.wasm\n    arguments: x", "f.yaml:8:16: arguments is a list; write [one, two], or a line with '- one' for each"),  # noqa: E501
        ("function: ./count", "module: ./count.wasm\n    arguments: [\"a\\0b\"]", "f.yaml:6:3: step count: run wasm: an argument holds a NUL byte; pass it as data with -i"),  # noqa: E501
        ("timeout: 60", "data: x", "f.yaml:14:13: step total has data and reduce; keep one of them"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(old, new, said):
    assert old in FLOW
    with pytest.raises(UserError) as caught:
        read(FLOW.replace(old, new, 1))
    assert str(caught.value) == said


def test_wrong_parameters():
    with pytest.raises(UserError, match=r"--arg texts: has to be given; see f\.yaml:4:3"):
        read(FLOW, texts=None)
    with pytest.raises(UserError, match=r"--arg x: f\.yaml has no such parameter; it has: top, texts"):
        read(FLOW, x=1)


@pytest.mark.parametrize("text", ["flow: 1\n", "flow: 1\nsteps: {}\n", "flow: 1\nsteps: [a]\n"])
def test_a_flow_has_steps(text):
    with pytest.raises(UserError, match="has no steps"):
        read_flow(text.encode(), "f.yaml", FOLDER, {})
