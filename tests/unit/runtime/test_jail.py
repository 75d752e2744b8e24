"""Choice of a level, what a strict jail demands, and the texts the jail is made from."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import cgroup_client
from runtime.jail import NEEDS, STRICT, JailReport, Layer, Level, at_level, layers_of, levels, require_strict
from runtime.jail_launcher import Options
from runtime.shared_libraries_client import interpreter, listed, shared_libraries
from storage.errors import UnavailableError

ALL = (
    *("userns", "mountns", "pidns", "netns", "ipcns", "utsns", "cgroupns", "no-new-privs", "no-capabilities"),
    *("landlock", "seccomp", "rlimits", "bubblewrap", "cgroup"),
)


def offered(*missing: str) -> tuple[Layer, ...]:
    return tuple(
        Layer(name=name, available=name not in missing, detail="refused" if name in missing else "") for name in ALL
    )


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((), Level.NAMESPACES),
        (("landlock", "cgroup", "cgroupns"), Level.NAMESPACES),
        (("userns",), Level.BUBBLEWRAP),
        (("netns", "bubblewrap"), Level.LANDLOCK),
        (("userns", "bubblewrap", "landlock"), Level.SECCOMP),
        (("seccomp",), Level.NONE),
        (ALL, Level.NONE),
    ],
)
def test_the_best_level_that_the_layers_allow(missing, expected):
    assert levels(offered(*missing))[0] is expected


def test_every_level_ends_the_list_that_needs_nothing():
    assert levels(offered()) == tuple(Level)
    assert levels(())[-1] is Level.NONE


def test_optional_layers_are_added_where_available():
    assert "landlock" in layers_of(Level.NAMESPACES, offered())
    assert "landlock" not in layers_of(Level.NAMESPACES, offered("landlock"))
    assert "landlock" not in layers_of(Level.BUBBLEWRAP, offered())
    assert layers_of(Level.NONE, offered()) == ()
    assert set(NEEDS[Level.LANDLOCK]) <= set(layers_of(Level.LANDLOCK, offered()))
    assert "userns" not in layers_of(Level.SECCOMP, offered())


def report(level: Level, *missing: str) -> JailReport:
    return at_level(offered(*missing), level)


def test_a_level_can_be_asked_for_where_its_layers_are():
    assert at_level(offered(), Level.LANDLOCK).in_force == layers_of(Level.LANDLOCK, offered())
    assert at_level((), Level.NONE).in_force == ()
    with pytest.raises(UnavailableError, match="needs seccomp, landlock"):
        at_level(offered("landlock", "seccomp"), Level.LANDLOCK)


@pytest.mark.parametrize("level", [Level.NAMESPACES, Level.BUBBLEWRAP])
def test_strict_is_met_with_and_without_a_cgroup(level):
    require_strict(report(level))
    require_strict(report(level, "cgroup", "landlock", "cgroupns"))


@pytest.mark.parametrize("name", STRICT)
def test_strict_names_each_layer_that_is_missing(name):
    names = tuple(other for other in report(Level.NAMESPACES).layers if other.name != name)
    with pytest.raises(UnavailableError, match=name):
        require_strict(JailReport(level=Level.NAMESPACES, layers=names))
    layers = tuple(Layer(name=other.name, available=True, in_force=other.name != name) for other in names)
    lost = (*layers, Layer(name=name, available=False, detail="forbidden here"))
    with pytest.raises(UnavailableError, match=rf"{name} \(forbidden here\)"):
        require_strict(JailReport(level=Level.NAMESPACES, layers=lost))


def test_strict_says_how_to_get_what_is_missing():
    with pytest.raises(UnavailableError) as caught:
        require_strict(report(Level.LANDLOCK, "userns", "bubblewrap"))
    assert "userns (refused)" in caught.value.problem
    assert "user.max_user_namespaces" in caught.value.fix
    assert "bubblewrap" in caught.value.fix


def test_the_launcher_reads_its_command_line():
    line = (
        "--watch 3 --layers userns,seccomp --bind /a:b/c:/x --rlimit CPU=7 --env A=b=c --seccomp 9 -- /node --flag -- x"
    )
    options = Options(line.split())
    assert options.program == ["/node", "--flag", "--", "x"]
    assert options.layers == {"userns", "seccomp"}
    assert options.binds == [("/a:b/c", "/x")]
    assert options.rlimits == [("CPU", 7)]
    assert options.environment == ["A=b=c"]
    assert (options.number("--watch"), options.number("--seccomp"), options.number("--cgroup")) == (3, 9, None)


@pytest.mark.parametrize(
    "words", [["--layers", "--", "x"], ["--layers", "userns"], ["--rlimit", "CPU=much", "--", "x"]]
)
def test_the_launcher_refuses_a_broken_command_line(words):
    with pytest.raises(ValueError):  # noqa: PT011
        Options(words)


def test_the_launcher_imports_next_to_nothing():
    script = "import sys; sys.path.append(sys.argv[1]); import runtime.jail_launcher; print(*sys.modules)"
    root = Path(cgroup_client.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, root], capture_output=True, text=True, check=True, env={}
    )
    slow = {"re", "enum", "typing", "dataclasses", "subprocess", "json", "argparse", "signal", "pathlib", "tempfile"}
    assert slow & set(done.stdout.split()) == set()


def elf(*, kind: int, text: bytes = b"/lib/ld.so\0") -> bytes:
    head = b"\x7fELF\x02\x01\x01" + bytes(25) + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 1)
    return head.ljust(64, b"\0") + struct.pack("<IIQQQQQQ", kind, 4, 120, 0, 0, len(text), len(text), 1) + text


def test_the_linker_that_a_program_asks_for():
    assert interpreter(io.BytesIO(elf(kind=3))) == "/lib/ld.so"
    assert interpreter(io.BytesIO(elf(kind=1))) is None
    with pytest.raises(UnavailableError):
        interpreter(io.BytesIO(b"#!/bin/sh\n"))


def test_paths_in_what_the_linker_lists():
    text = "\tlinux-vdso.so.1 (0x00007f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x0000ab)\n\t/lib64/ld.so (0x00cd)\n"
    assert listed(text) == ["/lib/x/libc.so.6", "/lib64/ld.so"]


def test_libraries_of_this_python():
    libraries = shared_libraries(Path(sys.executable).resolve())
    assert all(Path(path).is_file() for path in libraries)
    assert any("libc" in path for path in libraries)


def test_where_control_groups_are():
    mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
    assert cgroup_client.mount_point(mounts) == Path("/sys/fs/cgroup")
    membership = "8:pids:/x\n0::/user.slice/a.scope\n"
    assert cgroup_client.own_group(membership, Path("/c")) == Path("/c/user.slice/a.scope")
    with pytest.raises(UnavailableError, match="not mounted"):
        cgroup_client.mount_point("proc /proc proc rw 0 0\n")
    with pytest.raises(UnavailableError, match="no group"):
        cgroup_client.own_group("8:pids:/x\n", Path("/c"))


def test_a_group_is_made_with_a_ceiling_and_removed(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        made = {}
        patch.setattr(Path, "exists", lambda path: True)
        patch.setattr(Path, "write_text", lambda path, text, encoding: made.__setitem__(path.name, text))
        group = cgroup_client.make_group(tmp_path, memory_bytes=1 << 30, threads=64)
    assert made == {"memory.max": str(1 << 30), "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "64"}
    assert group.parent == tmp_path
    assert list(tmp_path.iterdir()) == [group]
    cgroup_client.end_group(group)
    assert not any(tmp_path.iterdir())


def test_a_group_that_cannot_be_bounded_is_not_left(tmp_path):
    def refuse(path, text, encoding):
        raise PermissionError(1, "refused")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_text", refuse)
        with pytest.raises(PermissionError):
            cgroup_client.make_group(tmp_path, memory_bytes=1, threads=1)
    assert not any(tmp_path.iterdir())
