"""Reading out of JSON and putting into it, as gjson and sjson do."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.expressions import (
    DestError,
    PathError,
    compile_dest,
    compile_path,
    parse_bool,
    parse_float,
    set_value,
)

DOCUMENT = {
    "s": "hello",
    "n": 50,
    "f": 3.14,
    "big": 1e21,
    "small": 1e-7,
    "neg": -5,
    "t": True,
    "z": None,
    "e": "",
    "list": [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}],
    "k.dot": "dotted",
    "@type": "json-ld",
    "obj": {"a": 1},
    "yes": "True",
    "nstr": "50",
}
TEXT = orjson.dumps(DOCUMENT).decode()


def get(path: str) -> Any:
    return compile_path(path).get(TEXT)


@pytest.mark.parametrize(
    ("path", "text", "number", "boolean"),
    [
        ("s", "hello", 0.0, False),
        ("n", "50", 50.0, True),
        ("f", "3.14", 3.14, True),
        ("big", "1000000000000000000000", 1e21, True),
        ("small", "0.0000001", 1e-7, True),
        ("neg", "-5", -5.0, True),
        ("t", "true", 1.0, True),
        ("z", "", 0.0, False),
        ("e", "", 0.0, False),
        ("yes", "True", 0.0, True),
        ("nstr", "50", 50.0, False),
        ("obj", '{"a":1}', 0.0, False),
        ("k\\.dot", "dotted", 0.0, False),
        ("@type", "json-ld", 0.0, False),
        ("@this|@type", "json-ld", 0.0, False),
        ("[@type,n]", '["json-ld",50]', 0.0, False),
        ("list.#", "2", 2.0, True),
        ("list.1.name", "b", 0.0, False),
        ('list.#(name=="b").id', "2", 2.0, False),
        ("list.#.name", '["a","b"]', 0.0, False),
        ("[s,n]", '["hello",50]', 0.0, False),
    ],
)
def test_a_value_reads_as_gjson_reads_it(path: str, text: str, number: float, boolean: bool) -> None:
    found = get(path)

    assert (found.text(), found.number(), found.boolean()) == (text, number, boolean)


@pytest.mark.parametrize("path", ["missing", "list.9", 'list.#(name=="z").id', "s.x", "s,n"])
def test_what_is_not_there_is_none(path: str) -> None:
    assert get(path) is None


def test_null_is_there() -> None:
    assert get("z").kind == "null"
    assert get("z").value() is None


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("", "empty"),
        ("a|@keys", "@keys"),
        ("@tostr", "@tostr"),
        ("[a,@dig:x]", "@dig"),
        ('!"literal"', "literals"),
        ('{"x":a}', "named members"),
        ("a.*b*c*d", "2 '*'"),
        ("a" * 5000, "4096"),
    ],
)
def test_what_the_walk_does_not_know_is_refused_by_name(path: str, named: str) -> None:
    with pytest.raises(PathError, match=named.replace("*", r"\*")):
        compile_path(path)


def test_a_query_may_say_what_a_path_may_not() -> None:
    assert compile_path('list.#(name=="@keys").id').get(TEXT) is None


def test_several_stars_never_meet_a_long_text() -> None:
    path = compile_path("*a*b")

    assert path.get('{"xaxb": 1}') is not None
    with pytest.raises(PathError, match="several"):
        path.get(orjson.dumps({"a" * 5000: 1}).decode())


@given(st.text(max_size=12))
def test_any_text_is_a_path_or_refused(text: str) -> None:
    try:
        found = get(text)
    except PathError:
        return
    if found is not None:
        found.text(), found.number(), found.boolean()


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e1", 50.0), ("-.5", -0.5), ("+Inf", math.inf), ("0x1p-2", 0.25), ("1e999", math.inf)],
)
def test_numbers_read_as_go_reads_them(text: str, value: float) -> None:
    assert parse_float(text) == value


@pytest.mark.parametrize("text", ["", "abc", " 1", "1_000", "1e", "0x1", "--1", "1\n"])
def test_what_go_takes_for_no_number_is_none(text: str) -> None:
    assert parse_float(text) is None


def test_booleans_read_as_go_reads_them() -> None:
    assert [parse_bool(t) for t in ("1", "T", "true", "0", "F", "yes", "tRue")] == [
        True,
        True,
        True,
        False,
        False,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("document", "dest", "result"),
    [
        (None, "a.b", {"a": {"b": "V"}}),
        ({"x": "s"}, "x.y", {"x": {"y": "V"}}),
        (None, "q.0.v", {"q": [{"v": "V"}]}),
        (None, "q.:0.v", {"q": {"0": {"v": "V"}}}),
        ({"q": {"0": 1}}, "q.0", {"q": {"0": "V"}}),
        ({"q": [1]}, "q.3", {"q": [1, None, None, "V"]}),
        ({"q": [1]}, "q.-1", {"q": [1, "V"]}),
        ({"q": [1]}, "q.-1.z", {"q": [1, {"z": "V"}]}),
        (None, "q.-1", {"q": ["V"]}),
        ({"q": 5}, "q.-1", {"q": {"-1": "V"}}),
        ({"q": [1, 2]}, "q.:1", {"q": [1, "V"]}),
        (None, "0", ["V"]),
        ({}, "a\\.b.c", {"a.b": {"c": "V"}}),
        ({"p": [{"n": "a"}, {"n": "b", "v": 1}]}, "p.#(n=b).v", {"p": [{"n": "a"}, {"n": "b", "v": "V"}]}),
        ({"p": [{"name": "a.b", "v": 1}]}, 'p.#(name=="a.b").v', {"p": [{"name": "a.b", "v": "V"}]}),
        ({"p": [{"name": "b"}]}, "p.#(name=b).value", {"p": [{"name": "b"}]}),
        ({"p": [{"n": 1, "v": 0}, {"n": 2, "v": 0}]}, "p.#(n>0)#.v", {"p": [{"n": 1, "v": "V"}, {"n": 2, "v": "V"}]}),
        ({"a": {"x1": 1, "x2": 2}}, "a.x*", {"a": {"x1": "V", "x2": 2}}),
        ({"a": 1}, "b.*.c", {"a": 1}),
        ({"a": {"b": 1}}, "a|b", {"a": {"b": 1}}),
    ],
)  # fmt: skip
def test_a_value_is_put_where_sjson_puts_it(document: Any, dest: str, result: Any) -> None:
    before = orjson.dumps(document)

    assert set_value(document, compile_dest(dest), "V") == result
    assert orjson.dumps(document) == before


def test_a_list_takes_no_named_member() -> None:
    with pytest.raises(DestError, match="takes a number"):
        set_value({"q": [1]}, compile_dest("q.name"), 1)


def test_no_index_makes_a_list_of_millions() -> None:
    with pytest.raises(DestError, match="10000"):
        set_value(None, compile_dest("q.999999999"), 1)


KEYS = st.text("abcxyz_-/é ", min_size=1, max_size=6).filter(lambda key: key != "-1")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.lists(KEYS | st.integers(0, 3), min_size=1, max_size=4), VALUES)
def test_what_was_put_somewhere_is_found_there(document: Any, steps: list[str | int], value: Any) -> None:
    path = ".".join(str(step) for step in steps)
    try:
        changed = set_value(document, compile_dest(path), value)
    except DestError:
        return
    found = compile_path(path).get(orjson.dumps(changed).decode())
    assert found is not None
    assert found.value() == value
