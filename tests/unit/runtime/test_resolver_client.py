from pathlib import Path

import pytest

from runtime.resolver_client import Breadth, OutageMemory, Question, UvResolver, _one_line, allowed_environment
from runtime.stub_index import write_stub_index
from storage.errors import UnavailableError


def question(text, **other):
    return Question(requirements=text, python="3.14", **other)


def test_uv_resolves_against_stubs_without_network(wheelhouse, offline_uv, tmp_path):
    stubs = write_stub_index(wheelhouse.distribution, tmp_path)
    answer = offline_uv.ask(question("alpha\n", stubs=stubs, network=False))
    assert answer.solved
    assert answer.pylock.count("[[packages]]") == 2
    assert 'name = "beta"' in answer.pylock


def test_no_solution_is_an_answer_not_an_error(wheelhouse, offline_uv, tmp_path):
    stubs = write_stub_index(wheelhouse.distribution, tmp_path)
    answer = offline_uv.ask(question("alpha>=9\n", stubs=stubs, network=False))
    assert not answer.solved
    assert "alpha>=9" in answer.explanation


def test_an_index_out_of_reach_is_unavailable_in_one_line(offline_uv):
    with pytest.raises(UnavailableError) as caught:
        offline_uv.ask(question("omega\n"))
    assert "Connection refused" in caught.value.problem
    assert "\n" not in str(caught.value)


def test_an_index_in_trouble_is_unavailable_not_an_answer(loopback_uv, server, make_wheel):
    """Taken for "no solution" it would be asked in another way, and could give another lock than elsewhere."""
    server.files["/simple/omega/"] = b"<html>" + b"<a href='omega-1.0-py3-none-any.whl#sha256=xx'>w</a>"
    server.types["/simple/omega/"] = "text/html"
    with pytest.raises(UnavailableError, match="could not be asked"):
        loopback_uv.ask(question("omega\n"))
    server.serve_index({"omega": [("omega-1.0-py3-none-any.whl", b"no wheel at all", None)]})
    with pytest.raises(UnavailableError, match="could not be asked"):
        loopback_uv.ask(question("omega\n"))


def test_credentials_of_the_index_are_not_repeated():
    said = _one_line("warning: w\nerror: Failed to fetch: http://me:secret@host/simple/\n  cause: refused\n\nhint: h\n")
    assert said == "Failed to fetch: http://host/simple/ … refused"


def test_preferences_decide_where_requirements_leave_the_choice(loopback_uv, server, make_wheel):
    wheels = [(f"omega-{v}-py3-none-any.whl", make_wheel("omega", v), None) for v in ("1.0", "2.0")]
    server.serve_index({"omega": wheels})
    assert 'version = "2.0"' in loopback_uv.ask(question("omega\n")).pylock
    assert 'version = "1.0"' in loopback_uv.ask(question("omega\n", preferences=(("omega", "1.0"),))).pylock


def test_later_uploads_do_not_exist_for_a_snapshot(loopback_uv, server, make_wheel):
    server.serve_index(
        {
            "omega": [
                ("omega-1.0-py3-none-any.whl", make_wheel("omega", "1.0"), "2026-01-01T00:00:00Z"),
                ("omega-2.0-py3-none-any.whl", make_wheel("omega", "2.0"), "2026-09-01T00:00:00Z"),
            ]
        }
    )
    answer = loopback_uv.ask(question("omega\n", uploaded_before="2026-07-25T00:00:00Z"))
    assert 'version = "1.0"' in answer.pylock


def test_wide_lists_wheels_for_the_guest_that_narrow_does_not_know(loopback_uv, server, make_wheel):
    name = "omega-1.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl"
    linux = "omega-1.0-cp314-cp314-manylinux_2_17_x86_64.whl"
    server.serve_index({"omega": [(n, make_wheel("omega", "1.0"), None) for n in (name, linux)]})
    assert not loopback_uv.ask(question("omega\n")).solved
    assert name in loopback_uv.ask(question("omega\n", breadth=Breadth.WIDE)).pylock


def test_settings_that_change_answers_do_not_reach_uv(wheelhouse, uv_environment, tmp_path):
    (tmp_path / "c.txt").write_text("alpha>9\n")
    config = tmp_path / ".config" / "uv"
    config.mkdir(parents=True)
    (config / "uv.toml").write_text('constraint-dependencies = ["alpha>9"]\n')
    hostile = {"UV_CONSTRAINT": str(tmp_path / "c.txt"), "UV_EXCLUDE_NEWER": "2000-01-01", "UV_RESOLUTION": "lowest"}
    resolver = UvResolver(uv_environment | hostile)
    stubs = write_stub_index(wheelhouse.distribution, tmp_path)
    assert resolver.ask(question("alpha\n", stubs=stubs, network=False)).solved


def test_index_settings_reach_uv_and_pips_only_if_uv_has_none():
    theirs = {"PIP_INDEX_URL": "https://pip/simple", "UV_HTTP_TIMEOUT": "3", "UV_INDEX_CORP_PASSWORD": "p"}
    kept = allowed_environment(theirs, Path("p"))
    assert (kept["UV_INDEX_URL"], kept["UV_HTTP_TIMEOUT"]) == ("https://pip/simple", "3")
    assert kept["UV_INDEX_CORP_PASSWORD"] == "p"
    both = allowed_environment(theirs | {"UV_DEFAULT_INDEX": "https://uv/simple"}, Path("p"))
    assert "UV_INDEX_URL" not in both


def test_nothing_is_left_behind(offline_uv, wheelhouse, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    offline_uv.ask(question("alpha\n", stubs=write_stub_index(wheelhouse.distribution, tmp_path), network=False))
    assert list(scratch.iterdir()) == []


def test_an_index_out_of_reach_is_not_asked_again(offline_uv):
    asked = []

    class Counting:
        def ask(self, question):
            asked.append(question)
            return offline_uv.ask(question)

    memory, said = OutageMemory(Counting()), []
    for _ in range(2):
        with pytest.raises(UnavailableError) as caught:
            memory.ask(question("omega\n"))
        said.append(str(caught.value))
    assert len(asked) == 1
    assert said[0] == said[1]
