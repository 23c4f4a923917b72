"""What comes from a world that means no good, or does not know better: data of events, and their other attributes."""

from __future__ import annotations

import base64
from typing import Any

import orjson

DEEPEST = 253
"""Levels of nesting that an event's data may have. The JSON writer takes 254, and the event around it is one."""

TIMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-02T00:00:00+14:00",
    "1969-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-30T23:59:59-12:00",
    "2026-11-21T12:00:60Z",
)


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * levels + closing * levels).encode()


TAKEN: dict[str, bytes] = {
    "nested lists": nested(DEEPEST),
    "nested objects": b'{"k":' * (DEEPEST - 1) + b"{}" + b"}" * (DEEPEST - 1),
    "a nested value": b'{"k":"v","x":' + nested(DEEPEST - 1) + b"}",
    "a nested key": b'{"k":' + nested(DEEPEST - 1) + b',"x":1}',
    "an integer over 64 bits": b'{"k":18446744073709551616,"n":18446744073709551616}',
    "the largest integer": b'{"k":18446744073709551615,"n":-9223372036854775808}',
    "the largest float": b'{"k":1.7976931348623157e308,"n":1.7976931348623157e308}',
    "the smallest float": b'{"k":5e-324,"n":-5e-324}',
    "minus zero": b'{"k":-0.0,"n":-0}',
    "duplicate keys": b'{"k":"first","k":"last","n":1,"n":2}',
    "no data": b"null",
    "a bare text": b'"k"',
    "a bare number": b"7",
    "an empty object": b"{}",
    "an empty text": b'""',
    "a list as key": b'{"k":["a"],"x":1}',
    "an object as key": b'{"k":{"a":1},"x":1}',
    "null as key": b'{"k":null,"x":null}',
    "a key of 10 kB": b'{"k":"' + b"k" * 10_240 + b'"}',
    "newlines and slashes in the key": rb'{"k":"a\nb/c\\d~e\u0000\u2028\t","x":"../../etc/passwd"}',
    "an empty key": b'{"k":"","x":""}',
    "a key like a path": b'{"k":"*","x":"@this|..0.#(a>1)#"}',
    "a million numbers": b'{"k":"m","x":[' + b",".join([b"1"] * 1_000_000) + b"]}",
    "a long text": b'{"k":"t","x":"' + b"x" * 3_000_000 + b'"}',
    "texts for numbers": b'{"k":"n","n":"1e999"}',
    "templates": b'{"k":"{{ .Input }}","x":"{{workflow.name}}{{= 1+1 }}"}',
}
"""Data as JSON text that every door takes."""

REFUSED: dict[str, bytes] = {
    "too deep to write": nested(1_000),
    "too deep to read": nested(100_000),
    "one level too many": nested(DEEPEST + 1),
    "NaN": b'{"k":NaN}',
    "Infinity": b'{"k":-Infinity}',
    "an integer of 400 digits": b'{"k":1' + b"0" * 400 + b"}",
    "a float beyond all": b'{"k":1e400}',
    "no UTF-8": b'{"k":"\xff\xfe"}',
    "a lone surrogate": rb'{"k":"\ud800"}',
    "half of it": b'{"k":"v',
    "nothing": b"",
    "10 MB": b'{"k":"' + b"x" * 10_000_000 + b'"}',
}
"""Data as text that no door takes."""

BYTES: dict[str, bytes] = {
    **{name: REFUSED[name] for name in REFUSED if name not in {"nothing", "10 MB", "one level too many"}},
    "levels that can be read only": nested(900),
    "nested objects that can be read only": b'{"k":' * 800 + b"1" + b"}" * 800,
    "duplicate keys": TAKEN["duplicate keys"],
    "an integer of 300 digits": b'{"k":1' + b"0" * 300 + b',"n":1' + b"0" * 300 + b"}",
    "a byte order mark": b'\xef\xbb\xbf{"k":"v"}',
    "a picture": bytes(range(256)) * 8,
}
"""Data in base64, which no door reads: whether it is JSON is found out by whoever asks for a part of it."""


def structured(id_: str, data: bytes | None = None, **attributes: Any) -> bytes:
    """A CloudEvent with this text as its data, whatever it is."""
    fields = {"specversion": "1.0", "id": id_, "source": "src", "type": "t", "subject": "a", **attributes}
    head = orjson.dumps(fields)
    return head if data is None else head[:-1] + b',"data":' + data + b"}"


def in_base64(id_: str, data: bytes, **attributes: Any) -> bytes:
    """A CloudEvent with these bytes as its data."""
    return structured(id_, None, data_base64=base64.b64encode(data).decode(), **attributes)
