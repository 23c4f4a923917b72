"""Patches, `apply`, and what the API would not take: as a cluster has them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.agents.admission import admitted
from pipelines.agents.changes import applied, merged, patched
from retrain.errors import ConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ([1], {"a": "b"}, {"a": "b"}),
    ],
)
def test_merge_patches_are_those_of_rfc_7386(target, patch, result):
    assert merged(target, patch) == result


@given(JSON, JSON)
def test_a_merge_done_twice_is_done_once(target, patch):
    once = merged(target, patch)

    assert merged(once, patch) == once


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/b", "value": 2}], {"a": [1, 2], "b": 2}),
        ([{"op": "add", "path": "/a/1", "value": 9}], {"a": [1, 9, 2]}),
        ([{"op": "add", "path": "/a/-", "value": 9}], {"a": [1, 2, 9]}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        ([{"op": "replace", "path": "/a/0", "value": 7}], {"a": [7, 2]}),
        ([{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1, 2], "b": [1, 2]}),
        ([{"op": "move", "from": "/a", "path": "/x~1y"}], {"x/y": [1, 2]}),
        ([{"op": "test", "path": "/a/0", "value": 1}, {"op": "remove", "path": "/a"}], {}),
    ],
)
def test_json_patches_are_those_of_rfc_6902(operations, result):
    assert patched({"a": [1, 2]}, operations) == result


@pytest.mark.parametrize(
    "operations",
    [
        {"op": "add"}, "x", [1], [{"op": "add", "path": "/b"}], [{"op": "nope", "path": "/a"}],
        [{"op": "remove", "path": "/b"}], [{"op": "remove", "path": "/a/5"}], [{"op": "remove", "path": ""}],
        [{"op": "add", "path": "/a/9", "value": 1}], [{"op": "test", "path": "/a/0", "value": 5}],
        [{"op": "add", "path": "a", "value": 1}],
    ],
)  # fmt: skip
def test_a_json_patch_that_cannot_be_done_is_refused(operations):
    with pytest.raises(ConfigError):
        patched({"a": [1, 2]}, operations)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["op", "path", "value", "from"]), JSON | st.sampled_from(["add", "/a", "/a/0", ""])
        )
    )
)
def test_any_json_patch_is_done_or_refused(operations):
    with contextlib.suppress(ConfigError):
        patched({"a": [1, {"b": 2}]}, operations)


def test_apply_takes_away_what_only_the_last_apply_said():
    first = applied(None, {"data": {"a": "1", "b": "2"}})
    touched = merged(first, {"data": {"c": "by somebody else"}})

    second = applied(touched, {"data": {"a": "3"}})

    assert second["data"] == {"a": "3", "c": "by somebody else"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"kind": "ConfigMap", "data": {"a": 1}}, "data.a is no text"),
        ({"kind": "ConfigMap", "data": {"a b": "1"}}, "a key has letters"),
        ({"kind": "ConfigMap", "data": [1]}, "is no map"),
        ({"kind": "Secret", "data": {"a": "not base64!"}}, "is no base64"),
        ({"kind": "ConfigMap", "data": {"a": "x" * (1024 * 1024 + 1)}}, "are allowed"),
    ],
)
def test_what_the_api_would_not_take_is_refused(body, message):
    with pytest.raises(ConfigError, match=message):
        admitted(body)


def test_plain_texts_of_a_secret_are_kept_in_base64():
    assert admitted({"kind": "Secret", "stringData": {"a": "x"}}) == {
        "kind": "Secret", "data": {"a": "eA=="}, "type": "Opaque"
    }  # fmt: skip
