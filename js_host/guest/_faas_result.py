"""The return value as bytes: bytes, str, None, else canonical DAG-JSON (keys by UTF-8 bytes, no spaces, no NaN).

Source: ipld/specs DAG-JSON. Bytes inside a value become {"/": {"bytes": base64 without padding}}.
"""

import base64
import json
import math


def encode_result(value):
    """Return the bytes of `result`; TypeError names the part that has no canonical form."""
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return _utf8(value, "the return value")
    out = []
    _encode(value, "the return value", out, set())
    return "".join(out).encode()


def _utf8(text, where):
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise TypeError(f"{where} has no canonical form: a str with a lone surrogate is not UTF-8") from None


def _encode(value, where, out, inside):
    kind = type(value)
    if value is None or kind is bool:
        out.append({None: "null", True: "true", False: "false"}[value])
    elif kind is int:
        out.append(str(value))
    elif kind is float:
        if not math.isfinite(value):
            raise TypeError(f"{where} has no canonical form: {value!r} is not a JSON number; return None or a string")
        out.append(repr(value))
    elif kind is str:
        _utf8(value, where)
        out.append(json.dumps(value, ensure_ascii=False))
    elif kind is bytes:
        text = base64.b64encode(value).decode().rstrip("=")
        out.append(f'{{"/":{{"bytes":"{text}"}}}}')
    elif kind in (list, tuple, dict):
        if id(value) in inside:
            raise TypeError(f"{where} has no canonical form: it contains itself")
        inside.add(id(value))
        (_encode_map if kind is dict else _encode_list)(value, where, out, inside)
        inside.discard(id(value))
    else:
        raise TypeError(f"{where} has no canonical form: {_describe(value)}")


def _encode_list(value, where, out, inside):
    out.append("[")
    for index, item in enumerate(value):
        if index:
            out.append(",")
        _encode(item, f"{where}[{index}]", out, inside)
    out.append("]")


def _encode_map(value, where, out, inside):
    for key in value:
        if type(key) is not str:
            raise TypeError(f"{where} has no canonical form: key {key!r} is a {type(key).__name__}; use str keys")
        _utf8(key, f"key {key!r} of {where}")
    if "/" in value:
        raise TypeError(f'{where} has no canonical form: the key "/" is reserved by DAG-JSON')
    out.append("{")
    for index, key in enumerate(sorted(value, key=str.encode)):
        if index:
            out.append(",")
        out.append(json.dumps(key, ensure_ascii=False) + ":")
        _encode(value[key], f"{where}[{key!r}]", out, inside)
    out.append("}")


def _describe(value):
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if isinstance(value, (set, frozenset)):
        return f"{name} has no order; return sorted(…)"
    if hasattr(value, "tolist"):
        return f"{name} is not JSON; return .tolist() or float(…)"
    if hasattr(value, "to_dict"):
        return f"{name} is not JSON; return .to_dict() or .to_csv()"
    return f"{name} is not bytes, str, None or JSON"
