"""Names of calls and modules that fall under a rule by themselves, whatever their arguments."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

_BY_RULE: Final[dict[str, tuple[str, ...]]] = {
    "thread": (
        "threading.Thread", "_thread.start_new_thread", "_thread.start_joinable_thread",
        "concurrent.futures.ThreadPoolExecutor", "concurrent.futures.thread.ThreadPoolExecutor",
        "multiprocessing.pool.ThreadPool", "multiprocessing.dummy.Pool", "asyncio.to_thread",
    ),
    "process": (
        "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "subprocess.Popen",
        "subprocess.getoutput", "subprocess.getstatusoutput", "os.system", "os.popen", "os.fork", "os.forkpty",
        "os.posix_spawn", "os.posix_spawnp", "os.execl", "os.execle", "os.execlp", "os.execlpe",
        "os.execv", "os.execve", "os.execvp", "os.execvpe",
        "os.spawnl", "os.spawnle", "os.spawnv", "os.spawnve",
        "multiprocessing.Process", "multiprocessing.Pool", "multiprocessing.Manager", "multiprocessing.Queue",
        "multiprocessing.pool.Pool", "concurrent.futures.ProcessPoolExecutor",
        "concurrent.futures.process.ProcessPoolExecutor", "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell", "pty.spawn", "pty.fork",
    ),
    "socket": (
        "socket.socket", "socket.create_connection", "socket.create_server", "socket.socketpair",
        "asyncio.open_connection", "asyncio.start_server", "asyncio.open_unix_connection",
        "socketserver.TCPServer", "socketserver.UDPServer", "socketserver.ThreadingTCPServer",
        "http.server.HTTPServer", "http.server.ThreadingHTTPServer", "wsgiref.simple_server.make_server",
        "xmlrpc.server.SimpleXMLRPCServer",
    ),
    "network-library": (
        "urllib.request.urlopen", "urllib.request.urlretrieve", "http.client.HTTPConnection",
        "http.client.HTTPSConnection", "ftplib.FTP", "ftplib.FTP_TLS", "smtplib.SMTP", "smtplib.SMTP_SSL",
        "imaplib.IMAP4", "imaplib.IMAP4_SSL", "poplib.POP3", "xmlrpc.client.ServerProxy",
        "requests.get", "requests.post", "requests.put", "requests.patch", "requests.delete", "requests.head",
        "requests.request", "httpx.get", "httpx.post", "httpx.put", "httpx.delete",
        "httpx.request", "httpx.stream", "aiohttp.request",
        "urllib3.request", "boto3.client", "boto3.resource", "paramiko.SSHClient", "websockets.connect",
        "psycopg2.connect", "psycopg.connect", "pymysql.connect", "redis.Redis", "pymongo.MongoClient",
        "nltk.download", "torch.hub.load", "tensorflow.keras.utils.get_file",
        "sklearn.datasets.fetch_openml", "sklearn.datasets.fetch_california_housing",
        "sklearn.datasets.fetch_20newsgroups", "sklearn.datasets.fetch_covtype", "sklearn.datasets.fetch_lfw_people",
        "sklearn.datasets.fetch_olivetti_faces", "seaborn.load_dataset",
    ),
    "timeout": (
        "signal.alarm", "signal.setitimer", "signal.getitimer", "signal.sigtimedwait",
    ),
    "interactive": ("builtins.input", "getpass.getpass", "pdb.set_trace", "builtins.breakpoint", "code.interact"),
    "native-library": ("ctypes.util.find_library", "cffi.FFI.dlopen"),
    "clock": (
        "time.time", "time.time_ns", "time.ctime", "time.asctime", "time.localtime", "time.gmtime", "time.strftime",
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
        "pandas.Timestamp.now", "pandas.Timestamp.today", "pandas.Timestamp.utcnow", "email.utils.formatdate",
        "email.utils.localtime", "email.utils.make_msgid", "django.utils.timezone.now",
    ),
    "stopwatch": (
        "time.perf_counter", "time.perf_counter_ns", "time.monotonic", "time.monotonic_ns", "time.process_time",
        "time.process_time_ns", "time.thread_time", "timeit.timeit", "timeit.default_timer",
    ),
    "uuid": ("uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "tempfile.mktemp"),
    "host-identity": (
        "os.getpid", "os.getppid", "os.getlogin", "os.getuid", "os.uname", "os.cpu_count", "os.process_cpu_count",
        "socket.gethostname", "socket.getfqdn", "platform.node", "platform.uname", "platform.platform",
        "platform.machine", "platform.processor", "getpass.getuser", "uuid.getnode", "multiprocessing.cpu_count",
        "multiprocessing.current_process", "threading.get_ident", "threading.get_native_id",
    ),
    "locale": (
        "locale.setlocale", "locale.getlocale", "locale.getdefaultlocale", "locale.localeconv", "locale.currency",
        "locale.format_string", "locale.strcoll", "locale.strxfrm", "locale.str", "locale.atof", "locale.nl_langinfo",
    ),
    "file-time": ("os.path.getmtime", "os.path.getctime", "os.path.getatime"),
    "pickle": ("pickle.dump", "pickle.dumps", "joblib.dump", "marshal.dump", "marshal.dumps", "cloudpickle.dumps"),
}  # fmt: skip

CALLS: Final = MappingProxyType({name: rule for rule, names in _BY_RULE.items() for name in names})
"""Dotted name -> rule."""

NOW_WITHOUT: Final = MappingProxyType({
    "time.ctime": 1, "time.asctime": 1, "time.localtime": 1, "time.gmtime": 1, "time.strftime": 2,
    "email.utils.formatdate": 1, "email.utils.localtime": 1,
})  # fmt: skip
"""Calls that read the clock only if they have fewer arguments than this."""

BRIDGE: Final = frozenset({"js", "pyodide", "pyodide_js", "_pyodide", "_pyodide_core", "micropip", "pyodide_http"})
"""Modules that js_host/guest/_faas_seal.py refuses."""

ABSENT: Final = frozenset({
    "_curses", "_multiprocessing", "_winapi", "aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk",
    "crypt", "curses", "dbm", "distutils", "ensurepip", "grp", "idlelib", "imghdr", "imp", "lib2to3", "mailcap",
    "msilib", "msvcrt", "nis", "nntplib", "nt", "ossaudiodev", "pipes", "pwd", "readline", "resource", "smtpd",
    "sndhdr", "spwd", "sunau", "syslog", "telnetlib", "tkinter", "turtle", "turtledemo", "uu", "venv", "winreg",
    "winsound", "xdrlib",
})  # fmt: skip
"""Top-level modules of other Pythons that the guest's lacks; tests/integration/test_lint.py asks the guest."""
