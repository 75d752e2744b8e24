"""Arithmetic at its edges, bits of NaNs, and numbers and letters as text."""

import array
import cmath
import decimal
import fractions
import math
import operator
import re
import statistics
import struct
import unicodedata

from probing import FIXED, probe, said

INF = math.inf
AWKWARD = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 5e-324, -5e-324, 2.2250738585072014e-308, 1e-200, 1e200, 1.7976931348623157e308,
    0.1, 0.7, 2.5, 3.141592653589793, 1e15 + 0.5, 2.0**53, 710.5, -745.2, INF, -INF, INF - INF,
)  # fmt: skip


def bits(value):
    return struct.pack(">d", value).hex() if isinstance(value, float) else value


@probe(FIXED)
def functions_of_one():
    names = """acos acosh asin asinh atan atanh cbrt ceil cos cosh degrees erf erfc exp exp2 expm1 fabs floor frexp
        gamma lgamma log log10 log1p log2 modf radians sin sinh sqrt tan tanh trunc ulp""".split()
    return [(name, [bits(said(getattr(math, name), x)) for x in AWKWARD]) for name in names]


@probe(FIXED)
def functions_of_two():
    calls = (
        math.atan2,
        math.fmod,
        math.hypot,
        math.pow,
        math.remainder,
        math.nextafter,
        math.copysign,
        operator.mod,
        operator.floordiv,
    )
    return [(call.__name__, [bits(said(call, x, y)) for x in AWKWARD for y in AWKWARD[::3]]) for call in calls]


@probe(FIXED)
def complex_functions():
    values = 1j, -1 + 0.0j, complex(0.7, -2.5), complex(INF, 1), complex(INF - INF, 0), 1e300 + 1e300j
    names = "sqrt exp log sin cos tan sinh acos atanh phase".split()
    return [(name, [said(getattr(cmath, name), value) for value in values]) for name in names], (2 + 1j) ** (0.3 - 1j)


@probe(FIXED)
def bits_of_nans():
    made = (
        INF - INF,
        INF * 0,
        float("nan"),
        -float("nan"),
        math.fabs(-(INF - INF)),
        float("-nan"),
        abs(float("nan")) + 1,
    )
    narrow = [struct.pack("<f", value).hex() for value in made] + [struct.pack("<e", value).hex() for value in made]
    payload = struct.unpack("<d", bytes.fromhex("010203040506f97f"))[0]
    signalling = struct.unpack("<f", bytes.fromhex("0100a07f"))[0]
    cells = array.array("f", made).tobytes().hex(), array.array("d", made).tobytes().hex()
    return (
        [bits(value) for value in made],
        narrow,
        [bits(payload), bits(payload + 1), bits(-payload), bits(signalling)],
        cells,
    )


@probe(FIXED)
def floats_as_text():
    formats = "r", "g", ".17g", ".0f", ".3e", "%", "010.2f", "+,.2f", "n", "a<9.1f"
    spelled = [(f, [said(format, x, f) if f != "r" else repr(x) for x in AWKWARD]) for f in formats]
    return (
        spelled,
        [x.hex() for x in AWKWARD],
        [round(x, 2) for x in (2.675, 1.005, 0.5, 1e300)],
        ["%.30g" % x for x in AWKWARD],
    )


@probe(FIXED)
def text_as_floats():
    texts = """1e400 -1e400 4.9e-324 2.4e-324 2.5e-324 1.7976931348623159e308 0.1 123456789012345678901234567890 1e-400
        nan -nan +inf infinity 1_000.5 0x1p3 1e 9007199254740993 179769313486231580793728971405301e276 ١٢٣""".split()
    return [(text, bits(said(float, text))) for text in texts], [
        said(float.fromhex, t) for t in ("0x1.8p1", "0x1p-1080", "0x1p1024")
    ]


@probe(FIXED)
def integers():
    big = 3**4000
    return (
        hash(str(big)),
        said(str, 10**5000),
        said(int, "9" * 5000),
        int("zz", 36),
        math.isqrt(big) % 10**9,
        pow(3, -1, 7),
        hash(big),
        (-7) // 2,
        -7 % 3,
        hash(fractions.Fraction(1, 3)),
        big.to_bytes(800, "big")[-8:],
    )


@probe(FIXED)
def sums():
    values = [0.1 * n for n in range(50)]
    return (
        sum(values),
        math.fsum(values),
        math.prod(values[1:]),
        math.sumprod(values, values),
        math.dist(values, values[::-1]),
        statistics.stdev(values),
        statistics.correlation(values, values[::-1]),
        math.fma(0.1, 10, -1),
    )


@probe(FIXED)
def decimals():
    return (
        decimal.Decimal(1) / 7,
        decimal.Decimal(2).sqrt(),
        decimal.Decimal(0.1),
        decimal.getcontext(),
        fractions.Fraction(0.1),
        decimal.HAVE_THREADS,
    )


@probe(FIXED)
def letters():
    odd = "ß", "ǰ", "İ", "ı", "Σ", "ﬁ", "ſ", "\u1e9e", "\U0001f600"
    names = [unicodedata.name(c, None) for c in "aäßΩ語\u200d\U0001f600"]
    cases = [(c.upper(), c.lower(), c.casefold(), c.title(), c.isalpha(), c.isprintable()) for c in odd]
    forms = [unicodedata.normalize(f, "e\u0301ﬁÅ") for f in ("NFC", "NFD", "NFKC", "NFKD")]
    return (
        unicodedata.unidata_version,
        names,
        cases,
        forms,
        re.findall(r"\w+", "naïve ١٢ 語"),
        "aäz".encode("idna"),
        sorted("zäaZ"),
    )
