"""`run docker` with an engine that runs nothing: what is asked, what is said of it, and what it taints."""

import json
import signal
import threading
from dataclasses import replace

import pytest

from bacalhau.cli.container_options import container_arguments, read_containers
from bacalhau.cli.run_docker import _terminated_as_interrupted
from bacalhau.container_stack import objection_to_container
from runtime.container_engine import ContainerRun, ImageFacts, IncompleteRunError
from runtime.container_plan import make_container_plan
from runtime.planner.facts import EngineFacts
from runtime.planner.policy import read_policy
from runtime.planner.stack import EngineName, Isolation, Machine
from storage.blocks import MemoryBlockStore
from storage.cid import cid_text, parse_cid
from storage.errors import UnavailableError, UserError
from tests.unit.bacalhau.fakes import FACTS, FakeEngine, Gave, output_of
from tests.unit.verifier.test_model import an_input
from tests.unit.verifier.test_unverified import function as container_function
from verifier.model import EngineInfo, Limits, Record, load_node, store_node
from verifier.unverified_types import UnverifiedRecord

IMAGE = f"sha256:{'0a' * 32}"
ENGINE = EngineInfo(name="docker", version="20.10", arch="x86_64", isolation=("container", "no-network"))


def same(number, plan):
    return Gave(stdout=b"hello\n", outputs={"made.txt": b"made"})


class FakeContainers:
    """A `ContainerEngine` that does what `behave(number of the run, plan)` returns or raises."""

    def __init__(self, behave=same):
        self.behave = behave
        self.plans = []
        self.swept = 0
        self.stopped = False
        self._lock = threading.Lock()

    def find_image(self, reference, progress=None):
        if reference == "absent":
            raise UserError("no such image", where=reference)
        return ImageFacts(id=IMAGE, repo_digest=None, user="", arch="amd64")

    def run(self, plan, store, progress=lambda phrase: None, stop=None):
        with self._lock:
            self.plans.append(plan)
            number = len(self.plans)
        progress("running the container")
        gave = self.behave(number, plan)
        if isinstance(gave, BaseException):
            raise gave
        return ContainerRun(
            task=plan.task,
            output=output_of(store, gave),
            exit_code=gave.exit_code,
            engine=ENGINE,
            timings_s={"run": 0.1},
        )

    def sweep(self):
        self.swept += 1
        return ["container 0123"] if self.swept == 1 else []

    def stop(self):
        self.stopped = True


@pytest.fixture
def docker(desk):
    desk.containers = FakeContainers()
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"X"))  # whatever its input is

    def run(*arguments, code=0):
        said = desk("run", "docker", "--json", *arguments)
        assert said.code == code, said.err
        return said.json

    return run


def test_a_run_says_unverified_and_never_that_it_was_agreed(docker, desk):
    report = docker("busybox", "--", "echo", "hello")
    assert (report["tier"], report["verdict"], report["exit_code"]) == ("unverified", "ran", 0)
    assert report["reproduced"] == "1/1"
    assert (report["receipts"], report["state_digest"], report["fuel"], report["faults"]) == ([], None, None, [])
    assert report["stdout"] == "hello\n"
    assert report["image"] == {"reference": "busybox", "id": IMAGE, "digest": None}
    assert (report["tainted"], report["taint"]) == (True, [report["record"]])
    with desk.store() as store:
        record = load_node(store, parse_cid(report["record"]), UnverifiedRecord)
    assert (cid_text(record.output), record.parents, len(record.runs)) == (report["output"], (), 1)
    assert desk.containers.stopped
    assert desk.containers.swept == 1


def test_the_spelling_of_2022_is_the_same_command(docker, desk):
    now = docker("busybox", "--", "echo", "hello")
    then = desk("docker", "run", "busybox", "--json", "--", "echo", "hello").json
    assert then["task"] == now["task"]


def test_what_was_typed_is_what_runs(docker, desk):
    docker(
        "busybox", "--cpu", "500m", "--memory", "64Mb", "--gpu", "2", "-w", "/w", "--network", "bridge", "-e", "A=1",
        "-o", "x:/x", "-u", "1000", "--entrypoint", "/bin/sh", "--writable", "--timeout", "9", "-i", desk.file(),
        "--", "-c", "echo --json",
    )  # fmt: skip
    (plan,) = desk.containers.plans
    f, x = plan.function, plan.input
    assert (f.image, f.entrypoint, f.command, f.workdir) == (IMAGE, ("/bin/sh",), ("-c", "echo --json"), "/w")
    assert (f.user, f.network, f.writable_root, f.cpu_milli, f.gpus) == ("1000", "bridge", True, 500, 2)
    assert (x.limits.memory, x.env, plan.wall_clock_s) == (64 << 20, {"A": "1"}, 9.0)
    assert [one.path for one in x.outputs] == ["/outputs", "/x"]
    assert x.data is not None


def test_the_defaults_give_nothing(docker, desk):
    docker("busybox")
    f = desk.containers.plans[0].function
    assert (f.network, f.writable_root, f.user, f.gpus) == ("none", False, "65534:65534", 0)
    assert (f.command, f.entrypoint, f.workdir) == (None, None, None)


def test_runs_that_are_alike_are_reproduced_and_not_verified(docker, desk):
    report = docker("busybox", "--concurrency", "3")
    assert (report["verdict"], report["reproduced"], report["tier"]) == ("reproduced", "3/3", "unverified")
    assert len(report["runs"]) == 3
    said = desk("run", "docker", "busybox", "--concurrency", "3")
    assert said.code == 0
    assert "unverified: reproduced 3/3" in said.err
    assert "verified:" not in said.err.replace("unverified:", "")


def test_runs_that_differ_are_not_done(docker, desk):
    desk.containers = FakeContainers(lambda number, plan: Gave(stdout=str(number % 2).encode()))
    report = docker("busybox", "--concurrency", "3", code=1)
    assert (report["verdict"], report["reproduced"]) == ("differs", "2/3")
    assert (report["output"], report["record"], report["exit_code"]) == (None, None, None)
    assert report["tainted"] is False
    said = desk("get", report["job"])
    assert (said.code, said.out) == (1, b"")


def test_a_program_that_fails_has_a_record_and_exit_code_3(docker, desk):
    desk.containers = FakeContainers(lambda number, plan: Gave(stderr=b"no\n", exit_code=7))
    report = docker("busybox", code=3)
    assert (report["verdict"], report["exit_code"], report["stderr"]) == ("ran", 7, "no\n")
    assert report["record"] is not None


def test_a_run_that_was_ended_gives_what_it_wrote_and_could_not_be_checked(docker, desk):
    ended = IncompleteRunError("took longer than 1 s", stdout=b"so far\n", stderr=b"slow\n")
    desk.containers = FakeContainers(lambda number, plan: ended)
    report = docker("busybox", code=4)
    assert (report["verdict"], report["output"], report["record"]) == ("incomplete", None, None)
    assert (report["stdout"], report["stderr"]) == ("so far\n", "slow\n")
    assert report["undetermined"] == [{"node": "run 1", "reason": "took longer than 1 s"}]
    logs = desk("logs", report["job"])
    assert (logs.code, logs.text, logs.err) == (0, "so far\n", "slow\n")


def test_one_of_several_that_was_ended_leaves_no_output(docker, desk):
    desk.containers = FakeContainers(lambda number, plan: IncompleteRunError("died") if number == 2 else Gave())
    report = docker("busybox", "--concurrency", "3", code=4)
    assert (report["verdict"], report["reproduced"], report["record"]) == ("incomplete", "2/3", None)


def test_an_engine_that_is_not_there_is_one_line(desk):
    said = desk("run", "docker", "busybox")
    assert (said.code, said.out) == (4, b"")
    assert said.err == "bacalhau: containers: no Docker or Podman listens here; start one\n"


def test_what_cannot_be_run_is_told_and_nothing_is_kept(docker, desk):
    said = desk("run", "docker", "absent")
    assert (said.code, said.err.splitlines()[-1]) == (2, "bacalhau: absent: no such image")
    desk.containers = FakeContainers(lambda number, plan: UserError("cannot be started", where="run docker"))
    assert desk("run", "docker", "busybox").code == 2
    desk.containers = FakeContainers(lambda number, plan: UnavailableError("is away", where="docker"))
    assert desk("run", "docker", "busybox").code == 4
    assert desk("list").out == b""


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--memory", "1k"], "--memory"),
        (["--cpu", "0"], "--cpu"),
        (["--network", "host"], "--network"),
        (["-w", "relative"], "-w"),
        (["-u", "a b"], "--user"),
        (["-o", "x:/proc/x"], "-o"),
        (["-e", "novalue"], "-e"),
        (["--no-wait"], "--no-wait"),
        (["--gpu", "65"], "--gpu"),
        (["--concurrency", "0"], "--concurrency"),
    ],
)
def test_a_wrong_flag_is_named(docker, desk, arguments, where):
    said = desk("run", "docker", "busybox", *arguments)
    assert (said.code, desk.containers.plans) == (2, [])
    assert where in said.err


def test_every_command_knows_the_job(docker, desk, tmp_path):
    report = docker("busybox", "-l", "mine")
    (row,) = [json.loads(line) for line in desk("list", "--json").text.splitlines()]
    assert (row["tier"], row["verdict"], row["record"]) == ("unverified", "ran", report["record"])
    for name in ("job", "record", "output", "task"):
        assert desk("describe", report[name], "--json").json == report
    assert "unverified" in desk("describe", report["job"]).text
    assert desk("logs", report["job"]).text == "hello\n"
    assert desk("cancel", report["job"]).code == 0
    assert [json.loads(line)["kind"] for line in desk("events", report["job"], "--json").text.splitlines()] == [
        "submitted", "verdict", "ended",
    ]  # fmt: skip
    said = desk("get", report["record"], "--output-dir", tmp_path / "got", "--json")
    assert said.code == 0
    assert (tmp_path / "got/outputs/outputs/made.txt").read_bytes() == b"made"
    assert not (tmp_path / "got/record.car").exists()
    assert "nobody can check" in said.err


def test_an_audit_is_unchecked_and_says_why(docker, desk):
    report = docker("busybox")
    for name in ("job", "record", "output", "task"):
        said = desk("audit", report[name], "--json")
        assert (said.code, said.json["verdict"]) == (4, "unchecked")
        assert "of the tier unverified" in said.json["checks"][0]["detail"]
        assert not any(check["ok"] for check in said.json["checks"])
        assert said.json["tainted"] is True
    assert desk("audit", report["record"], "--rerun", "--json").json["verdict"] == "unchecked"


@pytest.mark.parametrize(
    "path", ["{output}", "{output}/outputs/outputs/made.txt", "{record}/output/outputs/outputs/made.txt"]
)
def test_what_takes_an_unverified_output_is_tainted_all_the_way_down(docker, desk, path):
    first = docker("busybox")
    text = path.format(**first)
    second = desk.run("-i", text)
    assert (second["tier"], second["verdict"]) == ("verified", "agreed")
    assert (second["tainted"], second["taint"]) == (True, [first["record"]])
    assert first["record"] in second["taint_reason"]
    third = desk.run("-i", f"{second['record']}/output/result")
    assert (third["tainted"], third["taint"]) == (True, [first["record"]])
    with desk.store() as store:
        assert load_node(store, parse_cid(second["record"]), Record).parents == (parse_cid(first["record"]),)


def test_an_audit_of_a_tainted_record_is_valid_and_says_that_it_is_tainted(docker, desk, tmp_path):
    first = docker("busybox")
    second = desk.run("-i", first["output"])
    audit = desk("audit", second["record"], "--json").json
    assert (audit["verdict"], audit["tainted"], audit["taint"]) == ("valid", True, [first["record"]])
    assert "1 of the tier unverified" in next(one["detail"] for one in audit["checks"] if one["name"] == "parents")
    assert "tainted: record" in desk("audit", second["record"]).text
    assert desk("get", second["job"], "--output-dir", tmp_path / "got").code == 0
    offline = desk("audit", "--car", tmp_path / "got/record.car", "--json").json
    assert (offline["verdict"], offline["tainted"]) == ("valid", True)


def test_what_takes_nothing_unverified_is_not_tainted(docker, desk):
    docker("busybox")
    report = desk.run("-i", desk.file())
    assert (report["tainted"], report["taint"], report["taint_reason"]) == (False, [], None)
    assert desk("audit", report["record"], "--json").json["tainted"] is False
    assert "tainted" not in desk("audit", report["record"]).text


def test_require_verified_refuses_what_is_tainted_and_nothing_else(docker, desk):
    first = docker("busybox")
    desk.engine = FakeEngine()
    clean = desk.run("-i", desk.file(), "--require-verified")
    desk.engine = FakeEngine(lambda number, plan, store: Gave(result=b"Y"))
    second = desk.run("-i", first["output"])
    engine_calls = desk.engine.calls
    for command in (["run", "python", "-c", "pass"], ["run", "docker", "busybox"]):
        for text in (first["output"], f"{second['record']}/output/result"):
            said = desk(*command, "-i", text, "--require-verified")
            assert (said.code, said.out) == (1, b"")
            assert said.err.splitlines()[-1].startswith("bacalhau: --require-verified: an input is tainted: record ")
        assert desk(*command, "-i", clean["output"], "--require-verified").code == 0
    assert desk.engine.calls == engine_calls + 3, "one run of three was not refused"
    assert len(desk.containers.plans) == 2


def test_an_unverified_record_without_a_job_is_laid_out_without_a_proof(docker, desk, tmp_path):
    first = docker("busybox")
    with desk.store() as store:
        record = load_node(store, parse_cid(first["record"]), UnverifiedRecord)
        merged = store_node(store, replace(record, task=record.function))
    said = desk("get", cid_text(merged), "--output-dir", tmp_path / "got")
    assert said.code == 0, said.err
    assert "nobody can check" in said.err
    assert not (tmp_path / "got/record.car").exists()


def test_a_dry_run_runs_nothing(docker, desk):
    plan = docker("busybox", "--dry-run", "--", "true")
    assert (plan["tier"], plan["image"], plan["command"]) == ("unverified", IMAGE, ["true"])
    assert desk.containers.plans == []
    assert desk("list").out == b""
    assert "unverified" in desk("run", "docker", "busybox", "--dry-run").text


CONTAINERS = EngineFacts(engine=EngineName.DOCKER, isolations=(Isolation.CONTAINER,))


@pytest.mark.parametrize(
    ("policy", "arguments", "code"),
    [
        ("", [], 0),
        ("[forbid]\nnetworking = true\n", [], 0),
        ("[forbid]\nnetworking = true\n", ["--network", "bridge"], 4),
        ("[forbid]\ngpu = true\n", ["--gpu", "1"], 4),
        ('[require]\ntier = "verified"\n', [], 4),
        ('[require]\nengine = "pyodide-node"\n', [], 4),
        ('[require]\nmax-memory = "64Mb"\n', [], 4),
        ('[[rule]]\nwhen = { isolation = "none" }\nrequire = { machine = "vm" }\n', [], 0),
        ('[[rule]]\nwhen = { isolation = "container" }\nrequire = { machine = "vm" }\n', [], 4),
        ("nonsense", [], 2),
    ],
)
def test_a_policy_is_obeyed(docker, desk, policy, arguments, code):
    desk.facts = type(FACTS)(machine=FACTS.machine, engines=(*FACTS.engines[:3], CONTAINERS))
    desk.home.create()
    desk.home.policy_path.write_text(policy)
    said = desk("run", "docker", "busybox", *arguments)
    assert said.code == code, said.err
    assert len(desk.containers.plans) == (code == 0)


def test_the_word_has_a_colour_of_its_own(docker, desk, monkeypatch):
    from bacalhau import render, render_container

    report = docker("busybox")
    said = []

    class Console:
        def print(self, text):
            said.append(text)

    monkeypatch.setattr(render_container, "stderr_console", Console)
    render_container.print_container(report)
    line = next(one for one in said if "unverified" in str(one))
    assert [str(span.style) for span in line.spans] == [render.UNVERIFIED]
    assert render.UNVERIFIED not in ("bold green", "bold red", "bold yellow")


def test_the_graph_knows_what_is_unverified_and_what_rests_on_it(docker, desk):
    first = docker("busybox")
    second = desk.run("-i", first["output"])
    why = desk("graph", "why", second["record"], "--json")
    assert why.code == 0
    standing = why.json["standing"][second["record"]]
    assert (standing["standing"], standing["tainted_by"]) == ("tainted", [first["record"]])
    assert {node["record"]: node["tier"] for node in why.json["nodes"]} == {
        first["record"]: "unverified",
        second["record"]: "verified",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_to_be_told_to_end_is_an_interrupt(number):
    """Whose way out takes containers along; what was before is there again."""
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), _terminated_as_interrupted():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("flags", "where"),
    [(["--docker-pull"], "--docker-pull"), (["--docker", "--role", "requester"], "--docker"),
     (["--docker-network"], "--docker-network")],
)  # fmt: skip
def test_what_means_nothing_without_docker_is_refused(flags, where):
    said = {"docker": "--docker" in flags, "docker_pull": "--docker-pull" in flags}
    said |= {
        "docker_registries": (),
        "docker_network": "--docker-network" in flags,
        "roles": ("requester",) if "--role" in flags else (),
    }
    with pytest.raises(UserError) as caught:
        read_containers(said)
    assert caught.value.where == where


def test_a_registry_of_the_operators_own_is_named_by_its_host():
    none = {"docker": False, "docker_pull": False, "docker_network": False, "docker_registries": ()}
    assert read_containers(none) is None
    some = {
        "docker": True,
        "docker_pull": True,
        "docker_network": False,
        "docker_registries": ("Corp.Example.com:5000",),
    }
    assert read_containers(some).registries == {"corp.example.com"}
    assert container_arguments(some) == ("--docker", "--docker-pull", "--docker-registry=Corp.Example.com:5000")
    with pytest.raises(UserError, match="means nothing without --docker-pull"):
        read_containers({**some, "docker_pull": False})
    with pytest.raises(UserError, match="is not the host of a registry"):
        read_containers({**some, "docker_registries": ("registry",)})


def test_a_policy_of_a_node_is_held_against_containers_of_others():
    rules = read_policy('[[rule]]\nwhen = { isolation = "container" }\nrequire = { machine = "vm" }\n', name="policy")
    store = MemoryBlockStore()
    input_ = an_input(data=None, volumes=(), limits=Limits(fuel=None, memory=64 << 20, output=1 << 20))
    plan = make_container_plan(container_function(), input_, store=store, wall_clock_s=9.0)
    assert "not with the policy" in objection_to_container(rules, Machine.UNKNOWN, plan)
    assert objection_to_container((), Machine.UNKNOWN, plan) == ""
