import json

import pytest

from runtime.distribution import Kind, parse_distribution, read_distribution
from storage.errors import UnavailableError, VerificationError


def test_platform_and_packages_are_read(wheelhouse):
    distribution = wheelhouse.distribution
    assert (distribution.python, distribution.platform) == ("3.14", "pyemscripten_2026_0_wasm32")
    assert [package.name for package in distribution.wheels()] == ["alpha", "beta", "gamma"]
    assert distribution.packages["alpha"].depends == ("beta",)
    assert distribution.packages["libdelta"].kind is Kind.SHARED_LIBRARY
    assert distribution.packages["alpha-tests"].kind is Kind.TESTS


def test_names_and_versions_are_normalised():
    info = {"abi_version": "2026_0", "arch": "wasm32", "python": "3.14.0"}
    entry = {
        "name": "Ruamel.YAML",
        "version": "0.19.01",
        "file_name": "r.whl",
        "sha256": "AB",
        "package_type": "package",
    }
    entry["depends"] = ["Zeta_x", "alpha"]
    package = parse_distribution(json.dumps({"info": info, "packages": {"r": entry}}).encode()).packages["ruamel-yaml"]
    assert (package.version, package.sha256, package.depends) == ("0.19.1", "ab", ("alpha", "zeta-x"))


def test_a_package_is_found_by_equal_version_in_any_spelling(wheelhouse):
    distribution = wheelhouse.distribution
    assert distribution.wheel_of("beta", "2.0.0") == distribution.packages["beta"]
    assert distribution.wheel_of("beta", "2.0.1") is None
    assert distribution.wheel_of("libdelta", "1.0") is None
    assert distribution.wheel_of("omega", "1.0") is None


def test_the_digest_names_the_file(wheelhouse):
    changed = wheelhouse.lock_file.replace(b'"1.5"', b'"1.6"')
    assert parse_distribution(changed).digest != wheelhouse.distribution.digest


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"info": {}, "packages": {}}', b'{"info": 1, "packages": 2}'])
def test_other_files_are_refused(data):
    with pytest.raises(VerificationError, match="not a distribution lock"):
        parse_distribution(data)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnavailableError, match=r"gone\.json"):
        read_distribution(tmp_path / "gone.json")
