"""Scalars mean what they mean to Kubernetes.

The table was made by running sigs.k8s.io/yaml v1.6.0 (go.yaml.in/yaml/v2 v2.4.2) itself, `YAMLToJSONStrict` on
`v: <text>`.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.manifests.reading import Unreadable, read
from retrain.manifests.scalars import resolve, to_json, to_key

GO = [
    ("y", True),
    ("Y", True),
    ("yes", True),
    ("Yes", True),
    ("YES", True),
    ("on", True),
    ("On", True),
    ("ON", True),
    ("n", False),
    ("N", False),
    ("no", False),
    ("No", False),
    ("NO", False),
    ("off", False),
    ("Off", False),
    ("OFF", False),
    ("true", True),
    ("True", True),
    ("TRUE", True),
    ("false", False),
    ("False", False),
    ("FALSE", False),
    ("tRUE", "tRUE"),
    ("oN", "oN"),
    ("yES", "yES"),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("NULL", None),
    ("nULL", "nULL"),
    ("0123", 83),
    ("0o17", 15),
    ("0O17", 15),
    ("0777", 511),
    ("08", 8),
    ("09", 9),
    ("019", 19),
    ("0x1F", 31),
    ("0X1f", 31),
    ("0b101", 5),
    ("0B101", 5),
    ("-0b101", -5),
    ("+0b11", 3),
    ("1_000", 1000),
    ("1__0", 10),
    ("_1", "_1"),
    ("0x_A", 10),
    ("1_", 1),
    ("0_7", 7),
    ("1e3", 1000),
    ("1E3", 1000),
    ("1.5e3", 1500),
    ("1e+3", 1000),
    ("1.e1", 10),
    (".5", 0.5),
    ("5.", 5),
    ("+.5", 0.5),
    ("-.5", -0.5),
    ("-1", -1),
    ("+1", 1),
    ("+1.5", 1.5),
    (".iNF", ".iNF"),
    ("inf", "inf"),
    ("nan", "nan"),
    ("Inf", "Inf"),
    ("2026-11-20", "2026-11-20"),
    ("2026-11-20T08:15:00Z", "2026-11-20T08:15:00Z"),
    ("2026-1-2", "2026-1-2"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("1:30.5", "1:30.5"),
    ("0o", "0o"),
    ("0x", "0x"),
    (".", "."),
    ("+", "+"),
    ("--", "--"),
    ("1e400", "1e400"),
    ("18446744073709551615", 18446744073709551615),
    ("9223372036854775808", 9223372036854775808),
    ("123456789012345678901234567890", 1.2345678901234568e29),
    ("1_000.5", 1000.5),
    ("0x1p4", "0x1p4"),
    (".1_0", 0.1),
    ("1.2.3", "1.2.3"),
    ("1.0", 1),
    ("1e21", 1e21),
    ("1.0e-7", 1e-07),
    ("00", 0),
    ("007", 7),
    ("-0", 0),
    ("-0.0", 0),
    ("+0", 0),
    ("0.1", 0.1),
    ("-017", -15),
    ("+017", 15),
    ("0o-7", "0o-7"),
    ("-0o17", -15),
    ("-0x1f", -31),
    ("0xG", "0xG"),
    ("=", "="),
    ("<<", "<<"),
    ("1,000", "1,000"),
    (".e1", ".e1"),
    (".1e2", 10),
    ("._1", "._1"),
    ("0b102", "0b102"),
    ("0b", "0b"),
    ("0_", 0),
    ("0.0", 0),
    ("!!str 1", "1"),
    ("!!int '12'", 12),
    ("!!float 1", 1),
    ("!!bool yes", True),
    ("!!null ''", None),
    ("!!binary aGk=", "hi"),
    ("!foo bar", "bar"),
    ("!!timestamp 2026-11-20", "2026-11-20"),
    ("!!set {a, b}", {"a": None, "b": None}),
    ("!!map {a: 1}", {"a": 1}),
    ("!!omap [a: 1]", [{"a": 1}]),
    ("!!python/object x", "x"),
    ("! 12", "12"),
    ("!<tag:yaml.org,2002:int> 3", 3),
    ("!!seq [1]", [1]),
    ("!!str [1]", [1]),
    ("'12'", "12"),
    ('"yes"', "yes"),
    ("!!str", ""),
    ("!!float 0x10", 16),
    ("!!bool true", True),
    ("!!str true", "true"),
    ("!!str ~", "~"),
    ("!!int 0o17", 15),
    ("!!int 1_0", 10),
]

REFUSED = [
    (".inf", "JSON has no infinity and no NaN; quote it if it is meant as text"),
    ("-.Inf", "JSON has no infinity and no NaN; quote it if it is meant as text"),
    (".nan", "JSON has no infinity and no NaN; quote it if it is meant as text"),
    ("!!int abc", "'abc' is not a !!int"),
    ("!!int 1.5", "'1.5' is not a !!int"),
    ("!!int ''", "'' is not a !!int"),
    ("!!float abc", "'abc' is not a !!float"),
    ("!!bool 1", "'1' is not a !!bool"),
    ("!!null abc", "'abc' is not a !!null"),
    ("!!timestamp noon", "'noon' is not a !!timestamp"),
    ("!!binary '@'", "!!binary must be base64 of UTF-8 text"),
    ("!!binary /w==", "!!binary must be base64 of UTF-8 text"),
]

KEYS = [
    ("1", "1"),
    ("1.5", "1.5"),
    ("true", "true"),
    ("on", "true"),
    ("y", "true"),
    ("off", "false"),
    ("2026-11-20", "2026-11-20"),
    ("0x1F", "31"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("1e10", "1e+10"),
    ("1e3", "1000"),
    ("123456789.123", "1.2345679e+08"),
    ("0.00001", "1e-05"),
    ("3.10", "3.1"),
    ("1.0", "1"),
    ("-0.5", "-0.5"),
    ("1e300", ".inf"),
]


def only(text: str):
    (document,) = read(text)
    return document


@pytest.mark.parametrize(("text", "value"), GO)
def test_a_scalar_means_what_go_reads(text, value):
    document = only(f"v: {text}")

    assert document.value == {"v": value}
    assert type(document.value["v"]) is type(value)
    assert document.complaints == ()


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_scalar_that_go_refuses_is_refused(text, message):
    (complaint,) = only(f"v: {text}").complaints

    assert (complaint.line, complaint.column, complaint.code) == (1, 4, "bad-scalar")
    assert complaint.message == message


@pytest.mark.parametrize(("text", "key"), KEYS)
def test_numbers_and_booleans_as_keys_become_text_as_in_go(text, key):
    assert only(f"{text}: a").value == {key: "a"}


@pytest.mark.parametrize("text", ["~", "null", ""])
def test_a_null_key_is_refused(text):
    with pytest.raises(Unreadable, match=r"^a key cannot be null; give it a name$"):
        only(f"? {text}\n: a")


@pytest.mark.parametrize("number", [18446744073709551616, -(2**63) - 1, 10**20, -(10**300)])
def test_an_integer_that_64_bits_do_not_hold_is_the_nearest_float(number):
    assert only(f"v: {number}").value == {"v": float(number)}


def test_an_absurd_number_of_digits_is_text():
    digits = "9" * 100_000

    assert resolve(digits) == digits


@given(st.integers(-(2**63), 2**64 - 1))
def test_every_64_bit_integer_is_itself(number):
    assert resolve(str(number)) == number
    assert resolve(f"0x{number:x}" if number >= 0 else f"-0x{-number:x}") == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_itself(number):
    assert to_json(resolve(repr(number))) == number


@given(st.text())
def test_any_text_resolves_or_says_why_not(text):
    value = resolve(text)

    assert value is None or isinstance(value, str | int | float | bool)
    if value is not None:
        assert isinstance(to_key(value), str)
    if not isinstance(value, float) or math.isfinite(value):
        to_json(value)
