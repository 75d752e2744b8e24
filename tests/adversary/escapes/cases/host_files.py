"""Files of the host, traces of it, and the files of the runtime in the guest."""

from __future__ import annotations

from typing import Final

from tests.adversary.escapes.attempt import Attempt

_UNKNOWN: Final = 'AttributeError: Tried to lookup unknown symbol "{}" in dynamic lib: __main__'
_UP: Final = "../" * 30


def _gone(path: str) -> str:
    return f"FileNotFoundError: [Errno 44] No such file or directory: {path!r}"


def _absent(path: str) -> Attempt:
    return Attempt(name=path, code=f"os.listdir({path!r})", met=_gone(path))


HOST: Final = (
    *(
        _absent(path)
        for path in ("/etc", "/proc/1", "/proc/self/root", "/sys", "/dev/fd", "/runtime", "/boot", "/root")
    ),
    Attempt(name="/node", code="open('/node', 'rb')", met=_gone("/node")),
    Attempt(name="/dev/mem", code="open('/dev/mem', 'rb')", met=_gone("/dev/mem")),
    Attempt(name="the parent's environment", code="open('/proc/self/environ')", met=_gone("/proc/self/environ")),
    Attempt(name="up and out", code=f"open('{_UP}etc/passwd')", met=_gone(f"{_UP}etc/passwd")),
    Attempt(
        name="a link out",
        code="os.symlink('/etc/passwd', '/tmp/passwd'); open('/tmp/passwd')",
        met=_gone("/tmp/passwd"),
    ),
    Attempt(name="a link out of an input", code="open('/inputs/out')", met=_gone("/inputs/out")),
    Attempt(
        name="the guest's descriptors are its own devices",
        code="""
            there = [n for n in os.listdir("/proc/self/fd") if int(n) < 3]
            return [os.readlink(f"/proc/self/fd/{n}") for n in there]
            """,
        met="returned ['/dev/stdin', '/dev/stdout', '/dev/stderr']",
    ),
    Attempt(
        name="everything there is",
        code="return ' '.join(sorted(os.listdir('/')) + sorted(os.listdir('/dev')))",
        met="returned 'dev function home inputs lib outputs proc run tmp usr work"
        " exit_code null random result shm sleep stderr stdin stdout step urandom'",
    ),
    Attempt(name="libc fopen", code="return LIB.fopen(b'/etc/passwd', b'r')", met="returned 0"),
    Attempt(name="mount", code="LIB.mount", met=_UNKNOWN.format("mount")),
    Attempt(
        name="Node's file system",
        code="LIB.wasmfs_create_node_backend",
        met=_UNKNOWN.format("wasmfs_create_node_backend"),
    ),
    Attempt(
        name="environment",
        code="""
            known = "HOME LANG LC_ALL LD_LIBRARY_PATH LOGNAME MPLBACKEND PATH PWD TMPDIR TZ USER _"
            return [n for n in os.environ if n not in known.split() and not n.startswith("PYTHON")]
            """,
        met="returned []",
    ),
    Attempt(
        name="the C library's environment",
        code="""
            at = ctypes.cast(LIB.environ, ctypes.POINTER(ctypes.POINTER(ctypes.c_char_p)))[0]
            return next(n for n in range(1000) if not at[n]) - len(os.environ)
            """,
        met="returned 0",
    ),
    Attempt(
        name="arguments",
        code="return [*sys.argv, *sys.orig_argv, sys.executable]",
        met="returned ['function.py', '/usr/bin/python3', '/usr/bin/python3']",
    ),
    Attempt(
        name="who and where",
        code="""
            import getpass, platform
            return [getpass.getuser(), platform.node(), os.getcwd(), os.getuid(), os.uname().version]
            """,
        met="returned ['faas', 'emscripten', '/work', 0, '#1']",
    ),
    Attempt(
        name="paths of the host in what Python knows",
        code="""
            import site, sysconfig
            text = repr([sys.path, sys.prefix, sysconfig.get_config_vars(), vars(site), dict(os.environ)])
            return [word for word in ("/runtime/", "node_modules", "bacalhau", "nodejs") if word in text]
            """,
        met="returned []",
    ),
)

CHANGE: Final = """
def change(path, mine="/tmp/mine"):
    open(mine, "w").close()
    done = []
    for name, act in {
        "write": lambda: open(path, "ab"), "chmod": lambda: os.chmod(path, 0o777), "unlink": lambda: os.unlink(path),
        "rmdir": lambda: os.rmdir(path), "rename": lambda: os.rename(path, "/tmp/stolen"),
        "replace": lambda: os.replace(mine, path), "truncate": lambda: os.truncate(path, 0),
    }.items():
        try: act(); done.append(name)
        except OSError: pass
    return done
return change({!r})
"""
_OWN_FILES: Final = (
    "/lib/python314.zip",
    "/lib/python3.14/_faas_seal.py",
    "/function/function.py",
    "/run/task.json",
    "/lib",
)
_OWN_DIRECTORIES: Final = ("/lib", "/lib/python3.14", "/function", "/run", "/dev", "/dev/shm", "/usr/bin", "/inputs")

OWN: Final = (
    *(
        Attempt(name=f"change {path}", code=CHANGE.replace("{!r}", repr(path)), met="returned []")
        for path in _OWN_FILES
    ),
    *(
        Attempt(
            name=f"a new file in {path}",
            code=f"open('{path}/new', 'w')",
            met=f"PermissionError: [Errno 2] Permission denied: '{path}/new'",
        )
        for path in _OWN_DIRECTORIES
    ),
    Attempt(
        name="site-packages, opened by chmod",
        code="os.chmod('/lib/python3.14/site-packages', 0o777)",
        met="OSError: [Errno 69] Read-only file system: '/lib/python3.14/site-packages'",
    ),
    Attempt(
        name="/lib, opened by chmod",
        code="os.chmod('/lib', 0o777)",
        met="OSError: [Errno 69] Read-only file system: '/lib'",
    ),
    Attempt(
        name="names that every object of JavaScript has",
        code="""
            names = ("__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "valueOf", "then")
            for name in names:
                if os.path.exists(f"/tmp/js/{name}"): return f"{name} was there"
                os.makedirs(f"/tmp/js/{name}/__proto__")
                open(f"/tmp/js/{name}/__proto__/polluted", "w").close()
                os.rename(f"/tmp/js/{name}", f"/tmp/js/moved-{name}")
                os.rename(f"/tmp/js/moved-{name}", f"/tmp/js/{name}")
                os.symlink(name, f"/tmp/js/link-{name}")
                os.environ[name] = "polluted"
            os.mkdir("/tmp/clean")
            return [os.listdir("/tmp/clean"), os.path.exists("/tmp/clean/polluted"), len(os.listdir("/tmp/js"))]
            """,
        met="returned [[], False, 14]",
    ),
    Attempt(
        name="a device, by its libc call",
        code="return [LIB.mknod(b'/tmp/device', 0o20666, 0x501), LIB.mkfifo(b'/tmp/fifo', 0o666)]",
        met="returned [-1, -1]",
    ),
)

UNLOCKED: Final = (
    Attempt(
        name="/lib, opened by chmod",
        code="os.chmod('/lib', 0o777); open('/lib/new', 'w').close(); return 'new' in os.listdir('/lib')",
        met="returned True",
    ),
    Attempt(
        name="an output, replaced by a link",
        code="os.rmdir('/outputs'); os.symlink('/lib', '/outputs')",
        met="returned None",
    ),
    Attempt(
        name="the source",
        code="open('/function/new', 'w')",
        met="PermissionError: [Errno 2] Permission denied: '/function/new'",
    ),
    Attempt(
        name="the source, opened by chmod",
        code="os.chmod('/function/function.py', 0o777)",
        met="OSError: [Errno 69] Read-only file system: '/function/function.py'",
    ),
)
"""With the modes of the guest's own tree unlocked: what changes is its memory. The first is the control."""
