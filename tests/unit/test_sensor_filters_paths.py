"""The two short cuts of filters: a walk instead of gjson, plain text instead of RE2. Their answers are the same."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from retrain.errors import ConfigError
from retrain.events import Event
from retrain.expressions import compile_path
from sensors.filtering.content import Content
from sensors.filtering.lookup import MISSING, compile_lookup
from sensors.filtering.patterns import compile_pattern

KEYS = st.sampled_from(["a", "b", "k-1", "x_y", "0", "1", "10", "é", "a b", "", "a.b", "-1", "Content-Type"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=8)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
PARTS = st.sampled_from(["a", "b", "k-1", "x_y", "0", "1", "2", "10", "01", "-1", "a b", "Content-Type", "nope"])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(".".join)


def content(data: Any) -> Content:
    return Content(Event(id="1", source="src", type="test", subject="x", data=data))


@given(st.dictionaries(KEYS, DOCUMENTS, max_size=5) | DOCUMENTS, PATHS)
@example({"a": [1, 2]}, "a.01")
@example({"a": {"01": 1}}, "a.01")
@example({"a": None}, "a.b")
@example({"a": "text"}, "a.0")
@example({"a": float("nan")}, "a")
@example([{"a": 1}], "0.a")
@example({"a": 12345678901234567890}, "a")
@example({"a": 1e21, "b": -0.0}, "b")
def test_a_plain_path_leads_where_gjson_would_go(data: Any, path: str) -> None:
    lookup, text = compile_lookup(path), orjson.dumps(data).decode()

    found = lookup.found(content(data))

    assert found == compile_path(path).get(text)
    value = lookup.value(content(data))
    assert value is MISSING if found is None else orjson.dumps(value) == orjson.dumps(found.value())


@given(DOCUMENTS, PATHS)
def test_data_that_came_as_bytes_is_read_from_its_text(data: Any, path: str) -> None:
    text = orjson.dumps(data)

    assert compile_lookup(path).found(content(text)) == compile_path(path).get(text.decode())


@pytest.mark.parametrize("path", ["list.#.n", "list.#(n==2).n", "a\\.b", "{a,list}", "list|@reverse|0.n", "l*t.0.n"])
def test_any_other_path_is_left_to_gjson(path: str) -> None:
    data = {"a": 1, "a.b": 2, "list": [{"n": 1}, {"n": 2}]}

    assert compile_lookup(path).found(content(data)) == compile_path(path).get(orjson.dumps(data).decode())


def test_of_a_member_that_is_there_twice_the_first_counts() -> None:
    assert compile_lookup("a").value(content(b'{"a": 1, "a": 2}')) == 1


LITERALS = st.text(alphabet="ab.c/\\-_ é\n$^", max_size=6)


@given(
    st.sampled_from(["", "^"]),
    LITERALS,
    st.sampled_from(["", "$"]),
    st.text(alphabet="ab.c/\\-_ é\n$^", max_size=8),
)
@example("^", "", "$", "")
@example("^", "a", "$", "a\n")
@example("", "\\.csv", "$", "x.csv")
def test_a_plain_pattern_matches_as_re2_does(start: str, middle: str, end: str, text: str) -> None:
    pattern = f"{start}{middle}{end}"
    try:
        expected = re2.search(pattern, text) is not None
    except re2.error:
        with pytest.raises(ConfigError, match="no RE2 pattern"):
            compile_pattern(pattern)
        return

    assert compile_pattern(pattern)(text) is expected


@given(LITERALS.map(re2.escape), LITERALS, LITERALS)
def test_an_escaped_text_is_found_where_it_stands(pattern: str, before: str, after: str) -> None:
    plain = pattern.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\") if pattern else ""

    assert compile_pattern(pattern)(f"{before}{plain}{after}")


@pytest.mark.parametrize(("pattern", "text"), [("^a+$", "aaa"), ("a|b", "xb"), ("(?i)HELLO", "hello"), ("a.c", "abc")])
def test_a_pattern_with_special_characters_is_re2s(pattern: str, text: str) -> None:
    assert compile_pattern(pattern)(text)
    assert not compile_pattern(pattern)("zzz")
