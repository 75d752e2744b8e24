"""The return value as bytes: bytes, str, None, else canonical DAG-JSON (keys by UTF-8 bytes, no spaces, no NaN).

Source: ipld/specs DAG-JSON. Bytes inside a value become {"/":{"bytes":base64 without padding}}. Floats are written as
Python's repr does: the shortest digits that read back the same, always with a point or an exponent. A value of a class
derived from int, float, str, bytes, list, tuple or dict (IntEnum, OrderedDict, Counter, namedtuple, numpy.float64) is
written as the built-in value it holds, whatever the class overrides.
"""

import base64
import json
import math

_MAX_INT_BITS = 14_000
"""Below Python's own limit of 4,300 decimal digits, which a function may change."""


def encode_result(value):
    """Return the bytes of `result`; TypeError names the part that has no canonical form."""
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(memoryview(value))
    if isinstance(value, str):
        return _utf8(str.__str__(value), "the return value")
    out = []
    try:
        _encode(value, "the return value", out, set())
    except RecursionError:
        _refuse("the return value", "it is nested too deeply; return bytes or text")
    return "".join(out).encode()


def _refuse(where, why):
    raise TypeError(f"{where} has no canonical form: {why}") from None


def _utf8(text, where):
    try:
        return text.encode()
    except UnicodeEncodeError:
        _refuse(where, "a str with a lone surrogate is not UTF-8")


def _encode(value, where, out, inside):
    if value is None or value is True or value is False:
        out.append({None: "null", True: "true", False: "false"}[value])
    elif isinstance(value, int):
        out.append(_int(value, where))
    elif isinstance(value, float):
        out.append(_float(value, where))
    elif isinstance(value, str):
        out.append(_string(value, where))
    elif isinstance(value, bytes):
        text = base64.b64encode(memoryview(value)).decode().rstrip("=")
        out.append(f'{{"/":{{"bytes":"{text}"}}}}')
    elif isinstance(value, (list, tuple, dict)):
        if id(value) in inside:
            _refuse(where, "it contains itself")
        inside.add(id(value))
        (_encode_map if isinstance(value, dict) else _encode_list)(value, where, out, inside)
        inside.discard(id(value))
    else:
        _refuse(where, _describe(value))


def _int(value, where):
    if int.bit_length(value) > _MAX_INT_BITS:
        _refuse(where, f"an int of more than {_MAX_INT_BITS:,} bits; return hex(…)")
    return int.__repr__(value)


def _float(value, where):
    if not math.isfinite(value):
        _refuse(where, f"{float.__repr__(value)} is not a JSON number; return None or a string")
    return float.__repr__(value)


def _string(value, where):
    text = str.__str__(value)
    _utf8(text, where)
    return json.dumps(text, ensure_ascii=False)


def _encode_list(value, where, out, inside):
    out.append("[")
    items = list.__iter__(value) if isinstance(value, list) else tuple.__iter__(value)
    for index, item in enumerate(items):
        if index:
            out.append(",")
        _encode(item, f"{where}[{index}]", out, inside)
    out.append("]")


def _encode_map(value, where, out, inside):
    entries = {}
    for key, item in dict.items(value):
        if not isinstance(key, str):
            _refuse(where, f"key {key!r} is a {type(key).__name__}; use str keys")
        entries[str.__str__(key)] = item
        _utf8(str.__str__(key), f"key {key!r} of {where}")
    if "/" in entries:
        _refuse(where, 'the key "/" is reserved by DAG-JSON')
    if len(entries) != dict.__len__(value):
        _refuse(where, "two of its keys are the same text")
    out.append("{")
    for index, key in enumerate(sorted(entries, key=str.encode)):
        if index:
            out.append(",")
        out.append(json.dumps(key, ensure_ascii=False) + ":")
        _encode(entries[key], f"{where}[{key!r}]", out, inside)
    out.append("}")


def _describe(value):
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, (set, frozenset)):
        return f"{name} has no order; return sorted(…)"
    if hasattr(value, "tolist"):
        return f"{name} is not JSON; return .tolist() or float(…)"
    if hasattr(value, "to_dict"):
        return f"{name} is not JSON; return .to_dict() or .to_csv()"
    if hasattr(type(value), "__dataclass_fields__"):
        return f"{name} is not JSON; return dataclasses.asdict(…)"
    if isinstance(value, (bytearray, range)) or hasattr(type(value), "__next__"):
        return f"{name} is not JSON; return {'bytes' if isinstance(value, bytearray) else 'list'}(…)"
    return f"{name} is not bytes, str, None or JSON"
