"""Where an engine is, whose containers there are, what an image is called, what is mounted where."""

import re
import subprocess
import sys

import pytest

from runtime.container_address import find_address, socket_paths
from runtime.container_engine import ImageFacts
from runtime.container_lease_store import ContainerLeases
from runtime.container_mounts import input_mounts
from runtime.docker_api_client import DockerApi
from runtime.image_reference import check_reference, facts_of
from storage.blocks import MemoryBlockStore
from storage.errors import UnavailableError, UserError
from storage.unixfs_import import Importer
from storage.unixfs_members import members
from storage.unixfs_read import UnixfsReader
from tests.unit.verifier.test_model import an_input
from verifier.model import Volume

DOCKER, PODMAN, OWN = "/var/run/docker.sock", "/run/podman/podman.sock", "/run/user/7/podman/podman.sock"
OF_USER = {"XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("environment", "there", "address"),
    [
        ({}, [], None),
        ({}, [DOCKER, PODMAN], f"unix://{DOCKER}"),
        ({}, [PODMAN, OWN], f"unix://{PODMAN}"),
        ({}, [OWN], None),
        (OF_USER, [OWN], f"unix://{OWN}"),
        (OF_USER, [PODMAN, OWN], f"unix://{PODMAN}"),
        ({"XDG_RUNTIME_DIR": "relative"}, ["relative/podman/podman.sock"], None),
        ({"DOCKER_HOST": "tcp://far:2376"}, [DOCKER], "tcp://far:2376"),
        ({"DOCKER_HOST": " "}, [DOCKER], f"unix://{DOCKER}"),
    ],
)
def test_what_the_environment_says_comes_first_then_docker_then_podman(environment, there, address):
    assert find_address(environment, there.__contains__) == address


def test_without_the_package_one_is_told_to_install_it(monkeypatch):
    monkeypatch.setattr("runtime.docker_api_client.find_spec", lambda _name: None)
    with pytest.raises(UnavailableError, match=r"need the package docker; install it: .*bacalhau\[docker\]"):
        DockerApi.connect({"DOCKER_HOST": "unix:///nowhere"})


def test_without_an_engine_every_place_is_told(monkeypatch):
    monkeypatch.setattr("runtime.docker_api_client.find_spec", lambda _name: object())
    monkeypatch.setattr("runtime.docker_api_client._is_socket", lambda _path: False)
    with pytest.raises(UnavailableError, match=r"no Docker or Podman .*docker.sock.*podman.sock.*DOCKER_HOST"):
        DockerApi.connect({})


def test_every_place_that_is_looked_at_is_named():
    assert socket_paths(OF_USER) == (DOCKER, "/run/user/7/docker.sock", PODMAN, OWN)


def test_a_home_has_one_id(tmp_path):
    leases = ContainerLeases(tmp_path / "containers")
    first = leases.home()
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert ContainerLeases(tmp_path / "containers").home() == first
    assert ContainerLeases(tmp_path / "other").home() != first
    assert [path.name for path in (tmp_path / "containers").iterdir()] == ["id"]
    (tmp_path / "containers" / "id").write_text("x")
    with pytest.raises(UnavailableError, match="damaged"):
        leases.home()


def test_an_owner_is_gone_when_its_block_ended(tmp_path):
    leases = ContainerLeases(tmp_path / "containers")
    with leases.owned() as owner, leases.left_behind(owner) as is_left:
        assert is_left is False
    with leases.left_behind(owner) as is_left:
        assert is_left is True
    assert list((tmp_path / "containers").iterdir()) == []


HOLDER = """
import sys
from pathlib import Path
from runtime.container_lease_store import ContainerLeases
with ContainerLeases(Path(sys.argv[1])).owned() as owner:
    print(owner, flush=True)
    sys.stdin.read()
"""


def test_an_owner_that_was_killed_is_gone(tmp_path):
    leases = ContainerLeases(tmp_path / "containers")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "containers")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        owner = process.stdout.readline().strip()
        with leases.left_behind(owner) as is_left:
            assert is_left is False
        process.kill()
        process.wait()
        with leases.left_behind(owner) as is_left:
            assert is_left is True


@pytest.mark.parametrize("label", ["", "../id", "0" * 31, "0" * 32 + "/x", "G" * 32])
def test_a_label_that_is_no_owners_is_nobodys_to_remove(tmp_path, label):
    with ContainerLeases(tmp_path / "containers").left_behind(label) as is_left:
        assert is_left is False
    assert not (tmp_path / "containers").exists()


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "containers").write_text("")
    with pytest.raises(UnavailableError, match="leases"):
        ContainerLeases(tmp_path / "containers").home()


@pytest.mark.parametrize(
    "reference",
    ["busybox", "busybox:1.36", "ghcr.io/owner/name:tag", "localhost:5000/a/b", "library/busybox",
     f"busybox@sha256:{'0a' * 32}", f"sha256:{'0a' * 32}", "0a0a0a0a0a0a"],
)  # fmt: skip
def test_names_of_images(reference):
    check_reference(reference)


@pytest.mark.parametrize(
    "reference", ["", "-v", "Busybox", "a b", "a\nb", "../x", "http://x/y", "a@sha256:00", "a" * 401]
)
def test_what_is_no_name_of_an_image(reference):
    with pytest.raises(UserError, match="not the name"):
        check_reference(reference)


DIGEST = f"sha256:{'1b' * 32}"


@pytest.mark.parametrize(
    ("digests", "reference", "digest"),
    [
        ([], "busybox", None),
        (None, "busybox", None),
        ([f"busybox@{DIGEST}"], "busybox:latest", f"busybox@{DIGEST}"),
        ([f"aaa@{DIGEST}", f"busybox@{DIGEST}"], "busybox", f"busybox@{DIGEST}"),
        ([f"h:5000/b@{DIGEST}"], "h:5000/b:x", f"h:5000/b@{DIGEST}"),
        ([f"zzz@{DIGEST}", f"yyy@{DIGEST}"], "busybox", f"yyy@{DIGEST}"),
        (["<none>@<none>"], "busybox", None),
    ],
)
def test_what_an_engine_says_of_an_image(digests, reference, digest):
    said = {"Id": "0a" * 32, "RepoDigests": digests, "Config": {"User": "app"}, "Architecture": "amd64"}
    expected = ImageFacts(id=f"sha256:{'0a' * 32}", repo_digest=digest, user="app", arch="amd64")
    assert facts_of(said, reference) == expected


def test_an_engine_that_tells_no_id_is_of_no_use():
    with pytest.raises(UnavailableError):
        facts_of({"Id": "busybox"}, "busybox")


def mounted(data=None, **volumes):
    """Mount contents given as {name: bytes} for a directory, bytes for a file; return the files of each mount."""
    store = MemoryBlockStore()
    importer = Importer(store)

    def put(content):
        if isinstance(content, bytes):
            return importer.bytes(content).cid
        return importer.directory({name: importer.bytes(one) for name, one in content.items()}).cid

    placed = [Volume(path=f"/{path.replace('_', '/')}", cid=put(content)) for path, content in volumes.items()]
    input_ = an_input(
        data=None if data is None else put(data),
        volumes=tuple(sorted(placed, key=lambda one: one.path)),
    )
    reader = UnixfsReader(store)
    mounts = input_mounts(input_, store)
    return {one.path: sorted(member.path for member in members(reader, one.cid)) for one in mounts}


def test_directories_are_mounted_where_they_belong_and_files_in_one_of_their_own():
    assert mounted() == {}
    assert mounted(b"x") == {"/inputs": ["data"]}
    assert mounted({"a": b"x"}) == {"/inputs": ["a"]}
    assert mounted(b"x", ref={"a": b"1"}) == {"/inputs": ["data"], "/ref": ["a"]}
    assert mounted(ref_model=b"1", ref_other=b"2") == {"/ref": ["model", "other"]}


def test_what_lies_in_another_mount_is_put_into_it():
    assert mounted(b"x", inputs_ref={"a": b"1"}) == {"/inputs": ["data", "ref", "ref/a"]}
    assert mounted({"b": b"x"}, a_b_c=b"1", a_b_d={"e": b"2"}) == {"/a/b": ["c", "d", "d/e"], "/inputs": ["b"]}


def test_a_file_is_not_mounted_over_everything():
    with pytest.raises(UserError, match="root of a container"):
        mounted(file=b"x")
