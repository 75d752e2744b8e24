"""Libraries that look at the clock, at chance, or at orders of sets."""

import email.message
import email.utils
import hashlib
import http.cookies
import http.server
import json
import marshal
import os
import pickle
import random
import secrets
import uuid

from probing import FIXED, SEEDED, TIMED, ask, probe, said


@probe(SEEDED)
def random_bytes():
    return os.urandom(3), secrets.token_bytes(3), random.SystemRandom().random(), random.randbytes(4)


@probe(SEEDED)
def random_numbers():
    deck = list(range(20))
    random.shuffle(deck)
    return deck, random.gauss(0, 1), random.choices("abc", k=5), random.Random().random(), random.getrandbits(70)


@probe(FIXED)
def no_getrandom():
    return ask(os, "getrandom", 8)


@probe(FIXED)
def seeded_by_hand():
    generator = random.Random("a seed")
    return generator.random(), generator.gauss(0, 1), generator.sample(range(99), 5), random.Random(1).expovariate(2)


@probe(SEEDED)
def uuids_by_version():
    return uuid.uuid4(), uuid.uuid7().int % 2**60, uuid.uuid1().node, uuid.uuid6().node


@probe(FIXED)
def named_uuids():
    return uuid.uuid3(uuid.NAMESPACE_DNS, "example.org"), uuid.uuid5(uuid.NAMESPACE_URL, "x")


@probe(TIMED)
def timed_uuids():
    return uuid.uuid1().time, uuid.uuid7().time


@probe(SEEDED)
def message_ids():
    return email.utils.make_msgid(), email.utils.make_msgid("tag", "example.org")


@probe(TIMED)
def dates_of_protocols():
    handler = http.server.BaseHTTPRequestHandler
    cookie = http.cookies.SimpleCookie({"name": "value"})
    cookie["name"]["expires"] = 60
    return email.utils.formatdate(), email.utils.localtime(), handler.date_time_string(handler), cookie.output()


@probe(SEEDED)
def multipart_boundary():
    import email.mime.multipart

    parts = email.mime.multipart.MIMEMultipart()
    parts.attach(email.message.Message())
    return parts.as_string()


@probe(FIXED)
def digests():
    names = sorted(hashlib.algorithms_available)
    return names, [said(lambda n=n: hashlib.new(n, b"x").hexdigest()) for n in names if "shake" not in n]  # fmt: skip


@probe(SEEDED)
def random_of_ssl():
    import ssl

    return ssl.RAND_bytes(8)


@probe(SEEDED)
def random_of_sqlite():
    import sqlite3

    return sqlite3.connect(":memory:").execute("select random(), randomblob(4)").fetchone()


@probe(TIMED)
def time_of_sqlite():
    import sqlite3

    columns = "datetime('now'), julianday('now'), strftime('%s', 'now'), current_timestamp, date('now', 'localtime')"
    return sqlite3.connect(":memory:").execute(f"select {columns}").fetchone()


@probe(FIXED)
def files_of_sqlite():
    import sqlite3

    with sqlite3.connect("/tmp/made.sqlite") as database:
        database.execute("create table t (x real)")
        database.executemany("insert into t values (?)", [(n / 7,) for n in range(500)])
    database.close()
    version = sqlite3.sqlite_version, sqlite3.connect(":memory:").execute("pragma compile_options").fetchall()
    with open("/tmp/made.sqlite", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest(), version


@probe(FIXED)
def serialised():
    things = {"b", "a", "c", "dd"}, frozenset("hello"), {"x": {1.5, 2}}, {b"x", b"y"}
    code = compile("x = {1, 2, 3}\nprint(x)", "made.py", "exec")
    return (
        [pickle.dumps(thing) for thing in things],
        marshal.dumps(code),
        json.dumps({"a": [1e16, 0.1, -0.0, 1e-7, "ä"]}),
    )


@probe(FIXED)
def compared():
    import difflib

    return list(difflib.unified_diff(list("abcdef"), list("abxdyf"))), difflib.get_close_matches(
        "appel", ["ape", "apple", "peach", "puppy"]
    )


@probe(FIXED)
def compressed():
    import bz2
    import lzma
    import zlib

    text = b"".join(b"%d " % (n * n) for n in range(500))
    return [
        hashlib.sha256(c).hexdigest() for c in (zlib.compress(text), bz2.compress(text), lzma.compress(text))
    ], zlib.ZLIB_RUNTIME_VERSION


@probe(FIXED)
def documented():
    import inspect
    import pydoc

    return (
        hashlib.sha256(pydoc.render_doc(dict).encode()).hexdigest(),
        inspect.getsourcefile(json),
        inspect.signature(json.dumps),
    )
