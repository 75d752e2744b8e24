import pytest

from runtime.pylock import OfferedWheel, SolvedPackage, choose_wheel, guest_tags, parse_pylock
from storage.errors import VerificationError

HASH = "ab" * 32


def lock_of(*packages):
    return 'lock-version = "1.0"\n' + "".join(f"[[packages]]\n{package}\n" for package in packages)


def offered(*file_names):
    wheels = tuple(OfferedWheel(file_name=name, url=f"https://host/{name}", sha256=HASH) for name in file_names)
    return SolvedPackage(name="omega", version="1.0", wheels=wheels)


def test_packages_are_sorted_and_filtered_by_markers_of_the_guest():
    text = lock_of(
        'name = "Zeta"\nversion = "1.0"\nmarker = "sys_platform == \'emscripten\'"',
        'name = "alpha"\nversion = "2"',
        'name = "colorama"\nversion = "3"\nmarker = "sys_platform == \'win32\'"',
    )
    assert [(p.name, p.version) for p in parse_pylock(text, python="3.14")] == [("alpha", "2"), ("zeta", "1.0")]


def test_stubs_and_wheels_without_a_hash_are_not_offers():
    wheels = ", ".join(
        [
            '{ url = "file:///stubs/a-1-py3-none-any.whl", hashes = { sha256 = "00" } }',
            '{ url = "https://host/b-1-py3-none-any.whl", hashes = {} }',
            '{ url = "https://host/c%2B1-1-py3-none-any.whl#x", hashes = { sha256 = "AB" } }',
        ]
    )
    (package,) = parse_pylock(lock_of(f'name = "a"\nversion = "1"\nwheels = [{wheels}]'), python="3.14")
    assert [(wheel.file_name, wheel.sha256) for wheel in package.wheels] == [("c+1-1-py3-none-any.whl", "ab")]


def test_two_versions_of_a_package_are_refused():
    with pytest.raises(VerificationError, match="two versions"):
        parse_pylock(lock_of('name = "a"\nversion = "1"', 'name = "A"\nversion = "2"'), python="3.14")


@pytest.mark.parametrize(
    "text", ["[", "packages = 1", "[[packages]]\nversion = '1'", "[[packages]]\nname='a'\nversion='x'"]
)
def test_what_is_no_lock_is_refused(text):
    with pytest.raises(VerificationError, match="not a lock"):
        parse_pylock(text, python="3.14")


RANKED = [
    "omega-1.0-cp314-cp314-pyemscripten_2026_0_wasm32.whl",
    "omega-1.0-cp314-abi3-pyemscripten_2026_0_wasm32.whl",
    "omega-1.0-cp39-abi3-pyemscripten_2026_0_wasm32.whl",
    "omega-1.0-py3-none-pyemscripten_2026_0_wasm32.whl",
    "omega-1.0-2-py3-none-any.whl",
    "omega-1.0-py2.py3-none-any.whl",
]


@pytest.mark.parametrize("best", range(len(RANKED)))
def test_the_most_specific_wheel_wins_in_any_order(best, wheelhouse):
    for names in (RANKED[best:], list(reversed(RANKED[best:]))):
        assert choose_wheel(offered(*names), wheelhouse.distribution).file_name == RANKED[best]


@pytest.mark.parametrize(
    "name",
    [
        "omega-1.0-cp314-cp314-manylinux_2_17_x86_64.whl",
        "omega-1.0-cp313-cp313-pyemscripten_2025_0_wasm32.whl",
        "omega-1.0-cp315-cp315-pyemscripten_2026_5_wasm32.whl",
        "omega-1.0-cp314-cp314t-pyemscripten_2026_0_wasm32.whl",
        "omega-1.0-cp315-abi3-pyemscripten_2026_0_wasm32.whl",
        "omega-1.0-py2-none-any.whl",
        "omega-2.0-py3-none-any.whl",
        "omega-1.0.tar.gz",
    ],
)
def test_wheels_of_other_systems_are_never_chosen(name, wheelhouse):
    assert choose_wheel(offered(name), wheelhouse.distribution) is None


def test_the_distributions_file_wins_and_addresses_are_kept_by_hash(wheelhouse):
    built = wheelhouse.distribution.packages["beta"]
    wheels = (
        OfferedWheel(file_name="beta-2.0-py3-none-any.whl", url="https://host/rebuilt", sha256=HASH),
        OfferedWheel(file_name="beta-2.0-py3-none-any.whl", url="https://host/same", sha256=built.sha256),
    )
    wanted = choose_wheel(SolvedPackage(name="beta", version="2.0", wheels=wheels), wheelhouse.distribution)
    assert (wanted.sha256, wanted.urls, wanted.distributed) == (built.sha256, ("https://host/same",), True)


def test_every_wheel_of_the_runtime_has_a_tag_that_the_guest_accepts():
    tags = {str(tag) for tag in guest_tags("3.14", "pyemscripten_2026_0_wasm32")}
    assert {"cp314-cp314-pyemscripten_2026_0_wasm32", "cp37-abi3-pyemscripten_2026_0_wasm32", "py3-none-any"} <= tags
    assert not any("linux" in tag or "cp313-cp313" in tag for tag in tags)
