import pytest

from runtime.requirements import parse_requirements
from runtime.resolve import Origin, resolve
from runtime.resolver_client import Answer, Breadth
from runtime.stub_index import write_stub_index
from storage.errors import UnavailableError, UserError

GUEST = "omega-2.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl"
LINUX = "omega-2.0-cp314-cp314-manylinux_2_17_x86_64.whl"
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-09-01T00:00:00Z"


@pytest.fixture
def ask(wheelhouse, tmp_path):
    """Resolve requirements with a given resolver."""

    def run(text, resolver):
        requirements = parse_requirements(text, python="3.14")
        stubs = write_stub_index(wheelhouse.distribution, tmp_path)
        return resolve(requirements, distribution=wheelhouse.distribution, stubs=stubs, resolver=resolver)

    return run


def names(resolution):
    return [f"{wheel.name} {wheel.version}" for wheel in resolution.wheels]


def test_the_distribution_satisfies_without_network_and_with_its_own_hashes(ask, wheelhouse, offline_uv):
    resolution = ask("alpha>1\n", offline_uv)
    assert (names(resolution), resolution.origin) == (["alpha 1.5", "beta 2.0"], Origin.DISTRIBUTION)
    packages = wheelhouse.distribution.packages
    assert [wheel.sha256 for wheel in resolution.wheels] == [packages["alpha"].sha256, packages["beta"].sha256]
    assert all(wheel.distributed for wheel in resolution.wheels)


def test_the_index_is_asked_as_of_the_release_and_prefers_the_distributions_versions(
    ask, wheelhouse, loopback_uv, server, make_wheel
):
    server.serve_index(
        {
            "beta": [("beta-9.0-py3-none-any.whl", make_wheel("beta", "9.0"), EARLY)],
            "omega": [
                ("omega-1.0-py3-none-any.whl", make_wheel("omega", "1.0", requires=["beta"]), EARLY),
                ("omega-2.0-py3-none-any.whl", make_wheel("omega", "2.0"), LATE),
            ],
        }
    )
    resolution = ask("omega\n", loopback_uv)
    assert (names(resolution), resolution.origin) == (["beta 2.0", "omega 1.0"], Origin.SNAPSHOT)
    beta, omega = resolution.wheels
    assert beta.sha256 == wheelhouse.distribution.packages["beta"].sha256
    assert omega.urls == (f"{server.url}/files/omega-1.0-py3-none-any.whl",)


def test_what_needs_a_later_upload_depends_on_the_day(ask, loopback_uv, server, make_wheel):
    server.serve_index({"omega": [("omega-2.0-py3-none-any.whl", make_wheel("omega", "2.0"), LATE)]})
    resolution = ask("omega\n", loopback_uv)
    assert (names(resolution), resolution.origin) == (["omega 2.0"], Origin.LATEST)


def test_an_index_that_states_no_upload_times_answers_for_the_day(ask, loopback_uv, server, make_wheel):
    server.serve_index({"omega": [("omega-1.0-py3-none-any.whl", make_wheel("omega", "1.0"), None)]})
    assert ask("omega\n", loopback_uv).origin is Origin.LATEST


def test_a_compiled_wheel_for_the_guest_is_found_among_those_for_other_systems(ask, loopback_uv, server, make_wheel):
    data = make_wheel("omega", "2.0")
    server.serve_index({"omega": [(LINUX, data, EARLY), (GUEST, data, EARLY)]})
    assert [wheel.file_name for wheel in ask("omega\n", loopback_uv).wheels] == [GUEST]


def test_an_older_pure_version_serves_where_the_newest_is_native(ask, loopback_uv, server, make_wheel):
    old = ("omega-1.0-py3-none-any.whl", make_wheel("omega", "1.0"), EARLY)
    server.serve_index({"omega": [old, (LINUX, make_wheel("omega", "2.0"), EARLY)]})
    assert names(ask("omega\n", loopback_uv)) == ["omega 1.0"]


def refusal(ask, text, resolver):
    with pytest.raises(UserError) as caught:
        ask(text, resolver)
    assert caught.value.fix
    assert "\n" not in str(caught.value)
    return f"{caught.value.where}: {caught.value.problem} | {caught.value.fix}"


def test_a_package_that_does_not_exist_comes_with_a_guess(ask, loopback_uv):
    assert "line 2: package gama does not exist | did you mean gamma?" in refusal(ask, "beta\ngama\n", loopback_uv)


def test_a_version_that_does_not_exist_names_the_runtimes(ask, loopback_uv, server, make_wheel):
    server.serve_index({"beta": [("beta-1.0-py3-none-any.whl", make_wheel("beta", "1.0"), EARLY)]})
    said = refusal(ask, "beta==7\n", loopback_uv)
    assert "line 1: no version of beta satisfies ==7 | the runtime has beta 2.0" in said


@pytest.mark.parametrize(
    ("name", "fix"), [("gammas", "did you mean gamma? Else loosen the version"), ("omega", "loosen the version")]
)
def test_a_misspelt_name_that_exists_comes_with_a_guess(ask, loopback_uv, server, make_wheel, name, fix):
    server.serve_index({name: [(f"{name}-1.0-py3-none-any.whl", make_wheel(name, "1.0"), EARLY)]})
    said = refusal(ask, f"{name}==3.0\n", loopback_uv)
    assert said.endswith(f"line 1: no version of {name} satisfies ==3.0 | {fix}")


def test_native_wheels_only(ask, loopback_uv, server, make_wheel):
    server.serve_index({"omega": [(LINUX, make_wheel("omega", "2.0"), EARLY)]})
    said = refusal(ask, "alpha\nomega\n", loopback_uv)
    assert "line 2: omega has no WebAssembly wheel: it contains compiled code" in said
    assert "pyodide build" in said


def test_native_wheels_of_a_dependency(ask, loopback_uv, server, make_wheel):
    top = ("sigma-1.0-py3-none-any.whl", make_wheel("sigma", "1.0", requires=["omega"]), EARLY)
    server.serve_index({"sigma": [top], "omega": [(LINUX, make_wheel("omega", "2.0"), EARLY)]})
    said = refusal(ask, "sigma\n", loopback_uv)
    assert "required by sigma: omega has no WebAssembly wheel" in said


def test_source_only(ask, loopback_uv, server):
    server.serve_index({"omega": [("omega-1.0.tar.gz", b"source", EARLY)]})
    assert "omega has no wheel at all, only source" in refusal(ask, "omega\n", loopback_uv)


def test_a_version_without_a_wheel_for_the_guest(ask, loopback_uv, server, make_wheel):
    name = "gamma-2.0-cp314-cp314-manylinux_2_17_x86_64.whl"
    server.serve_index({"gamma": [(name, make_wheel("gamma", "2.0"), EARLY)]})
    said = refusal(ask, "gamma<3\n", loopback_uv)
    assert "line 1: gamma<3 has no WebAssembly wheel | the runtime has gamma 3.0" in said


def test_a_conflict_names_both_lines(ask, loopback_uv, server, make_wheel):
    server.serve_index({"beta": [("beta-1.0-py3-none-any.whl", make_wheel("beta", "1.0"), EARLY)]})
    said = refusal(ask, "beta==2.0\nbeta<2\n", loopback_uv)
    assert "line 1" in said
    assert "line 2" in said
    assert "contradict each other (you require beta" in said


def test_an_index_out_of_reach_names_what_it_was_needed_for(ask, offline_uv):
    with pytest.raises(UnavailableError) as caught:
        ask("alpha\nomega>1\n", offline_uv)
    assert caught.value.where == "omega>1"
    assert "not in the runtime's distribution" in caught.value.problem


@pytest.mark.parametrize(("text", "what"), [("libdelta", "a C library"), ("alpha-tests", "a set of tests")])
def test_files_that_are_no_packages_are_refused_before_anything_is_asked(ask, text, what):
    assert what in refusal(ask, text, None)


def test_an_extra_that_would_be_left_out_silently_is_refused(ask, offline_uv):
    assert "line 1: the extra fast of alpha is not known" in refusal(ask, "alpha[fast]\n", offline_uv)


def test_the_questions_come_in_order_and_stop_at_the_first_answer(ask):
    asked = []

    class Scripted:
        def ask(self, question):
            asked.append((question.network, question.breadth, question.uploaded_before is not None))
            return Answer(solved=len(asked) == 5, pylock="", explanation="")

    assert ask("omega\n", Scripted()).origin is Origin.LATEST
    assert asked == [
        (False, Breadth.NARROW, False),
        (True, Breadth.WIDE, True),
        (True, Breadth.NARROW, True),
        (True, Breadth.WIDE, False),
        (True, Breadth.NARROW, False),
    ]
