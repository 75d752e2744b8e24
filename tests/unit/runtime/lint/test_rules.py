"""Each rule: what it finds and at which line, and the neighbours that it must leave alone."""

import ast
import re
from pathlib import Path

import pytest

from runtime.lint.contract import entry_findings
from runtime.lint.linter import lint_reading
from runtime.lint.reading import Reading, read
from runtime.lint.rules import RULES, Category, Level

# (rule, source; the line that is found ends in "  # here")
FOUND = [
    ("thread", "import threading\nthreading.Thread(target=print).start()  # here"),
    ("thread", "from concurrent.futures import ThreadPoolExecutor as Pool\nwith Pool() as pool: pass  # here"),
    ("thread", "from threading import Thread\nclass Job(Thread):  # here\n    pass"),
    ("thread", "import asyncio\nasync def main(data):\n    await asyncio.to_thread(print)  # here"),
    ("process", "import subprocess as sp\nsp.run(['ls'])  # here"),
    ("process", "import os\nos.system('ls')  # here"),
    ("process", "from multiprocessing import Pool\nPool(2)  # here"),
    ("socket", "import socket\nsocket.socket()  # here"),
    ("network-library", "import requests\nrequests.get('http://x')  # here"),
    ("network-library", "from urllib.request import urlopen\nurlopen('http://x')  # here"),
    ("network-library", "import pandas as pd\npd.read_csv('https://x/y.csv')  # here"),
    ("timeout", "import signal\nsignal.alarm(5)  # here"),
    ("javascript", "from pyodide.ffi import to_js  # here"),
    ("native-library", "import ctypes\nctypes.CDLL('libm.so.6')  # here"),
    ("absent-module", "import curses  # here"),
    ("interactive", "name = input('name? ')  # here"),
    ("clock", "import time\nstamp = time.time()  # here"),
    ("clock", "from datetime import datetime\nstamp = datetime.now()  # here"),
    ("clock", "import time\nstamp = time.strftime('%Y')  # here"),
    ("stopwatch", "from time import perf_counter\nbegan = perf_counter()  # here"),
    ("unseeded-random", "import random\nrandom.shuffle([1, 2])  # here"),
    ("unseeded-random", "import numpy as np\nnp.random.rand(3)  # here"),
    ("unseeded-random", "import numpy as np\nrng = np.random.default_rng()  # here"),
    ("unseeded-random", "import os\ntoken = os.urandom(8)  # here"),
    ("unseeded-model", "from sklearn.cluster import KMeans\nKMeans(n_clusters=3)  # here"),
    ("unseeded-model", "from sklearn.model_selection import KFold\nKFold(5, shuffle=True)  # here"),
    ("unseeded-model", "import pandas as pd\nframe = load()\nframe.sample(frac=0.5)  # here"),
    ("unseeded-model", "from somewhere import Model\nModel(random_state=None)  # here"),
    ("uuid", "import uuid\nname = uuid.uuid4().hex  # here"),
    ("hash-seed", "def bucket(name):\n    return hash(name) % 8  # here"),
    ("hash-seed", "things = sorted([], key=hash)  # here"),
    ("object-id", "def cached(row, cache):\n    return cache[id(row)]  # here"),
    ("object-id", "def cached(row, cache):\n    key = id(row)  # here\n    return cache.get(key)"),
    ("object-id", "text = f'{id(object)}'  # here"),
    ("set-order", "names = set(open('x'))\nfor name in names:  # here\n    print(name)"),
    ("set-order", "names = {'a', 'b'} | set('c')\ntext = ','.join(names)  # here"),
    ("set-order", "from collections import defaultdict\ngroups = defaultdict(set)\n"
                  "rows = [list(g) for k, g in groups.items()]  # here"),
    ("set-order", "groups = {}\ngroups.setdefault('k', set()).add('v')\nrows = list(groups['k'])  # here"),
    ("set-order", "seen = set()\nseen.add('x')\nfirst = next(iter(seen))  # here"),
    ("set-order", "seen = set('abc')\ntext = f'{seen}'  # here"),
    ("set-order", "seen = set('abc')\nlongest = max(seen, key=len)  # here"),
    ("set-order", "def f() -> set[str]:\n    return set()\nrows = [x for x in f()]  # here"),
    ("set-order", "class C:\n    def __init__(self): self.s = set()\n    def f(self): return tuple(self.s)  # here"),
    ("set-order", "a, b = {}, {}\nboth = list(a.keys() & b.keys())  # here"),
    ("float-sum", "def f(prices):\n    return sum(p * 1.2 for p in set(prices))  # here"),
    ("float-sum", "total = 0.0\nfor price in set(open('x')):  # here\n    total += float(price)"),
    ("archive-time", "import zipfile\nwith zipfile.ZipFile('a.zip', 'w') as z:\n    z.writestr('n', b'')  # here"),
    ("archive-time", "import gzip\nf = gzip.open('a.gz', 'wb')  # here"),
    ("archive-time", "import tarfile\nt = tarfile.open('a.tgz', 'w:gz')  # here"),
    ("archive-time", "import shutil\nshutil.make_archive('a', 'zip', 'b')  # here"),
    ("archive-time", "def f(fig):\n    fig.savefig('/outputs/a.svg')  # here"),
    ("listing-order", "import os\nfor name in os.listdir('.'):  # here\n    print(name)"),
    ("listing-order", "import glob\nrows = [open(p).read() for p in glob.glob('*.csv')]  # here"),
    ("listing-order", "from pathlib import Path\nrows = list(Path('/inputs').iterdir())  # here"),
    ("listing-order", "import os\nnames = os.listdir('.')  # here\nfor name in names:\n    print(name)"),
    ("locale", "import locale\nlocale.setlocale(locale.LC_ALL, 'de_DE.UTF-8')  # here"),
    ("host-identity", "import os\npath = f'/tmp/{os.getpid()}.txt'  # here"),
    ("file-time", "import os\nos.path.getmtime('x')  # here"),
    ("not-writable", "open('/data/out.csv', 'w')  # here"),
    ("beside-the-function", "open('model.json')  # here"),
    ("pickle", "import pickle\npickle.dumps(3)  # here"),
]  # fmt: skip

NOTHING = [
    "import threading\nlock = threading.Lock()",
    "import time\ntime.sleep(1); time.strftime('%Y', time.gmtime(0))",
    "from datetime import datetime\ndatetime.fromtimestamp(0)",
    "import random\nrng = random.Random(3)\nrng.shuffle([1])",
    "import random\nrandom.seed(1)\nrandom.random()",
    "import numpy as np\nrng = np.random.default_rng(0)",
    "from sklearn.cluster import KMeans\nKMeans(3, random_state=0)",
    "from sklearn.model_selection import train_test_split\ntrain_test_split([], shuffle=False)",
    "class C:\n    def __hash__(self): return hash('x')",
    "def same(a, b): return id(a) == id(b)",
    "def walk(node, seen):\n    if id(node) in seen: return\n    seen.add(id(node))",
    "names = set(open('x'))\nfor name in sorted(names): print(name)",
    "names = set('ab')\nprint(len(names), 'a' in names, max(names), any(n for n in names))",
    "names = set('ab')\nout = []\nfor name in names:\n    out.append(name)\nout.sort()",
    "names = set('ab')\nrows = [n for n in names]\nprint(sorted(rows))",
    "names = set('ab')\nmore = {n.upper() for n in names} | set(names)",
    "for n in {1, 2, 3}: print(n)",
    "for n in set(range(4)): print(n)",
    "total = 0\nfor name in set('ab'):\n    total += 1",
    "total = sum(len(n) for n in set('ab'))",
    "import math\ntotal = math.fsum(set([0.1, 0.2]))",
    "names = set('ab')\nbest = max(names, key=lambda n: (len(n), n))",
    "def f(names):\n    for name in names: print(name)",
    "import os\nfor name in sorted(os.listdir('.')): print(name)",
    "import os\nnames = os.listdir('.')\nnames.sort()\nprint(names)",
    "import os\ncount = len(os.listdir('.'))",
    "from pathlib import Path\nrows = sorted(Path('.').glob('*'))",
    "import zipfile\nwith zipfile.ZipFile('a.zip', 'w') as z:\n    z.writestr(zipfile.ZipInfo('n'), b'')",
    "import gzip\ngzip.open('a.gz', 'rb'); gzip.compress(b'')",
    "def f(fig): fig.savefig('a.png'); fig.savefig('a.svg', metadata={'Date': None})",
    "open('/outputs/a.txt', 'w'); open('out.txt', 'w'); open('/inputs/data')",
    "def hash(x): return 3\nhash('a')",
    "names = set(open('x'))\nboth = set.intersection(*[set(name) for name in names])",
    "names = set(open('x'))\nseen = set()\n[seen.add(name) for name in names]",
    "def f(random): return random.random()",
    "if __name__ == '__main__':\n    import time\n    print(time.time())",
    "import sys\nif sys.platform == 'win32':\n    import winreg",
    "import time\nt = time.time()  # bacalhau: allow clock",
    "import time\nt = time.time()  # bacalhau: allow BAC201".replace("BAC201", "uuid clock"),
]

ENTRIES = [
    ("no-entry-point", "def other(data): pass"),
    ("entry-signature", "def main(data):\n    yield 1"),
    ("entry-signature", "async def main(data):\n    yield"),
    ("entry-signature", "def main(data, more, /): pass"),
    ("required-argument", "def main(data, column): pass"),
    ("no-canonical-form", "def main(data):\n    return {'a', 'b'}"),
    ("no-canonical-form", "def main(data):\n    return {'names': set(data)}"),
    ("no-canonical-form", "def main(data):\n    return {1: 'a'}"),
    ("no-canonical-form", "def main(data):\n    return [map(str, data)]"),
    ("no-canonical-form", "import datetime\ndef main(data):\n    return {'at': datetime.date(2000, 1, 1)}"),
    ("no-canonical-form", "import numpy as np\ndef main(data):\n    a = np.zeros(3)\n    return a"),
    ("no-canonical-form", "def main(data):\n    return {'a': 1}.keys()"),
    ("no-canonical-form", "def main(data):\n    return [float('nan')]"),
]

SOUND_ENTRIES = [
    "def main(data): return sorted({'a'})",
    "def main(data, n=3, *, flag=False): return {'a': [1, 2.5, None, True, b'x']}",
    "async def main(data): return b''",
    "from other import main",
    "def main():\n    def inner():\n        return {1, 2}\n    return len(inner())",
    "main = make()",
    "def main(data):\n    yield\n    return 1",
    "def main(data):\n    yield None\n    return 1",
    "def main(data):\n    rows = (x for x in data)\n    return list(rows)",
]


def reading_of(source):
    reading = read("function.py", source.encode())
    assert isinstance(reading, Reading), reading
    return reading


def found_in(source, beside=frozenset({"model.json"})):
    return lint_reading(reading_of(source), frozenset(), beside)


@pytest.mark.parametrize(("rule", "source"), FOUND, ids=range(len(FOUND)))
def test_is_found_at_its_line_and_nothing_else_is(rule, source):
    line = next(number for number, text in enumerate(source.splitlines(), 1) if text.endswith("  # here"))
    assert {(one.rule.name, one.place.line) for one in found_in(source)} == {(rule, line)}


@pytest.mark.parametrize("source", NOTHING, ids=range(len(NOTHING)))
def test_is_left_alone(source):
    ast.parse(source)
    assert [(one.rule.name, one.place.line) for one in found_in(source)] == []


@pytest.mark.parametrize(("rule", "source"), ENTRIES, ids=range(len(ENTRIES)))
def test_entry_point_is_refused(rule, source):
    assert {one.rule.name for one in entry_findings(reading_of(source), "main")} == {rule}


@pytest.mark.parametrize("source", SOUND_ENTRIES, ids=range(len(SOUND_ENTRIES)))
def test_sound_entry_points_are_left_alone(source):
    assert list(entry_findings(reading_of(source), "main")) == []


def test_every_rule_is_tried():
    tried = {rule for rule, _ in (*FOUND, *ENTRIES)}
    of_packages = {rule.name for rule in RULES.values() if rule.category is Category.PACKAGES}
    assert set(RULES) - tried - of_packages == {"syntax"}  # those have tests of their own


def test_what_is_caught_is_a_warning():
    source = "try:\n    import curses\nexcept ImportError:\n    curses = None"
    assert [(one.rule.name, one.level) for one in found_in(source)] == [("absent-module", Level.WARNING)]


def test_columns_count_characters_and_not_bytes():
    (one,) = found_in("import time\nx = 'äöü', time.time()")
    assert (one.place.column, one.place.end_column) == (12, 23)


def test_ids_are_never_given_twice_and_the_document_has_them_all():
    rules = list(RULES.values())
    assert len({rule.id for rule in rules}) == len(rules)
    text = (Path(__file__).parents[4] / "docs" / "lint.md").read_text("utf-8")
    rows = re.findall(r"^\| (BAC\d+) \| `([a-z-]+)` \| (\w+) \|", text, re.MULTILINE)
    assert rows == [(rule.id, rule.name, rule.level.value) for rule in rules]
