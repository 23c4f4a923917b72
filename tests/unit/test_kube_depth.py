"""Answers of an API server that are nested more deeply than a reader takes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import Transient
from retrain.kube.depth import DEEPEST, cut
from retrain.kube.requests import read_one_of_many

JSON = st.recursive(
    st.none() | st.integers(0, 9) | st.text(alphabet='ab"\\\\{}[]\\n', max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=20,
)


def without(value: Any, levels: int) -> Any:
    """The same without what stands deeper, by its structure."""
    if not isinstance(value, dict | list):
        return value
    if not levels:
        return None
    if isinstance(value, dict):
        return {key: without(inner, levels - 1) for key, inner in value.items()}
    return [without(inner, levels - 1) for inner in value]


@given(JSON, st.integers(1, 4))
def test_what_stands_too_deep_is_cut_and_all_else_stays(value: Any, levels: int) -> None:
    assert orjson.loads(cut(orjson.dumps(value), levels)) == without(value, levels)


def test_one_object_of_a_list_that_cannot_be_read_hides_no_other() -> None:
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000

    read = read_one_of_many(b'{"items":[' + deep + b',{"metadata":{"name":"other"}}]}')

    assert read["items"][1] == {"metadata": {"name": "other"}}
    assert len(orjson.dumps(read)) < 10 * DEEPEST


def test_what_is_no_json_stays_none() -> None:
    with pytest.raises(Transient):
        read_one_of_many(b"<html>")
