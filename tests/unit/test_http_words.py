"""The pure parts of the HTTP door: cursors, pages in memory, ETags, problems, ids of log lines, allowed methods."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, cast

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from retrain.app.looking.paging import paged
from retrain.errors import ConfigError
from retrain.web.api import create_api
from retrain.web.conditional import fits, tag_of, takes_gzip
from retrain.web.cursors import seal, unseal
from retrain.web.errors import allowed
from retrain.web.jsons import dumps
from retrain.web.log_stream import read_id, write_id
from retrain.web.problems import KINDS, kind_of, page, problem
from retrain.web.shapes.common import Problem

PROBLEM = Draft202012Validator(Problem.model_json_schema(mode="serialization"))
NAMES = st.text(max_size=30).filter(lambda text: text.encode("utf-8", "ignore").decode() == text)


@given(NAMES)
def test_a_cursor_leads_back_to_its_place(place: str) -> None:
    sealed = seal(place)

    assert sealed is not None
    assert unseal(sealed) == place
    assert set(sealed) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(st.text(max_size=60))
def test_what_no_list_gave_is_no_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="none that a list gave"):
        unseal(text)


@given(NAMES, st.integers(0, 200))
def test_a_cursor_that_was_cut_is_none(place: str, cut: int) -> None:
    sealed = seal(place)
    assert sealed is not None
    if (short := sealed[:cut]) != sealed:
        with pytest.raises(ValueError, match="none that a list gave"):
            unseal(short)


@given(st.sets(NAMES, max_size=30), st.sets(NAMES, max_size=10), st.integers(1, 7), st.randoms())
def test_pages_have_each_item_once_whatever_comes_and_goes_meanwhile(
    names: set[str], others: set[str], limit: int, dice: Any
) -> None:
    there, found, cursor = set(names), list[str](), cast("str | None", None)
    while True:
        one = paged(({"name": name} for name in there), lambda item: item["name"], cursor, limit)
        found += [item["name"] for item in one["items"]]
        if (cursor := one["next"]) is None:
            break
        there = names | {name for name in others if dice.random() < 0.5}

    assert found == sorted(found)
    assert len(found) == len(set(found))
    assert names <= set(found) <= names | others


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_a_tag_fits_in_each_of_its_forms_and_no_other(mine: bytes, other: bytes) -> None:
    tag = tag_of(mine)
    forms = (tag, f"W/{tag}", f'{tag[:-1]}-gzip"', f'"x", {tag}', "*")

    assert all(fits(form, tag) for form in forms)
    assert fits(tag_of(other), tag) == (mine == other)
    assert not any(fits(form, "") for form in (*forms, ""))
    assert not fits("", tag)


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("", False),
    ],
)
def test_gzip_is_for_who_takes_it(said: str, takes: bool) -> None:
    assert takes_gzip(said) is takes


@given(st.sampled_from([*KINDS, 418, 507]), st.text(max_size=50), st.text(max_size=50))
def test_every_problem_is_what_its_description_says(status: int, detail: str, path: str) -> None:
    said = json.loads(problem(status, detail, path, "abc", {"errors": [{"detail": "x", "parameter": "y"}]}))

    PROBLEM.validate(said)
    assert said["error"] == said["detail"]
    assert said["type"].startswith("/problems/")
    assert said["instance"].isascii()
    text = page(kind_of(status).name)
    assert text is not None
    assert kind_of(status).title in text


def test_each_kind_of_problem_has_its_own_name() -> None:
    assert len({kind.name for kind in KINDS.values()}) == len(KINDS)
    assert page("nothing") is None


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_whatever_a_manifest_holds_can_be_said(value: Any) -> None:
    assert json.loads(dumps(value)) == value


@given(st.dictionaries(st.from_regex(r"[0-9a-f]{10}", fullmatch=True), st.integers(0, 10**12), max_size=40))
def test_the_id_of_a_log_line_says_where_each_log_is(places: dict[str, int]) -> None:
    assert read_id(write_id(places).decode().removeprefix("id: ").strip()) == places


@pytest.mark.parametrize("text", ["x", "12", "0123456789.", "0123456789.-1", "0123456789.²", "0123456789.1,", "." * 99])
def test_another_id_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="none that a line of a log had"):
        read_id(text)


# --- the description -------------------------------------------------------------------------------------------------


@cache
def api() -> FastAPI:
    return create_api(cast("Any", None))


def description() -> dict[str, Any]:
    return api().openapi()


def schema(name: str) -> dict[str, Any]:
    parts = description()["components"]["schemas"]
    return {**parts[name], "components": {"schemas": parts}}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths = description()["paths"]
    return [(path, method, one) for path, methods in paths.items() for method, one in methods.items()]


def test_every_operation_says_what_it_answers_and_how_it_fails() -> None:
    vague: list[str] = []
    for path, method, one in operations():
        (good,) = [answer for status, answer in one["responses"].items() if status in {"200", "201", "202"}]
        for media, content in good.get("content", {"": {}}).items():
            if not content.get("schema") or content["schema"] in ({"type": "object"}, {"additionalProperties": True}):
                vague.append(f"{method} {path}: {media}")
        errors = [answer for status, answer in one["responses"].items() if "400" <= status < "503"]
        assert errors, path
        assert all("application/problem+json" in answer["content"] for answer in errors), (method, path)
        assert one["tags"], (method, path)
    assert vague == []


def test_every_parameter_says_what_it_is() -> None:
    silent = [
        f"{method} {path}: {one['name']}"
        for path, method, operation in operations()
        for one in operation.get("parameters", ())
        if one["in"] == "query" and not one.get("description") and one["schema"].get("type") != "boolean"
    ]
    assert silent == []


def test_ids_of_operations_are_names_and_stay() -> None:
    names = [one["operationId"] for _, _, one in operations()]

    assert len(names) == len(set(names))
    assert {"send_events", "list_events", "show_run", "act_on_promotion", "list_firings", "healthz"} <= set(names)
    assert all(name.isidentifier() for name in names)


def test_examples_are_true() -> None:
    parts = description()["components"]["schemas"]
    with_examples = {name: part["example"] for name, part in parts.items() if "example" in part}

    assert {"CloudEvent", "Problem"} <= with_examples.keys()
    for name, example in with_examples.items():
        Draft202012Validator(schema(name)).validate(example)


def test_lists_are_pages() -> None:
    parts = description()["components"]["schemas"]
    for name, part in parts.items():
        if name.endswith("Page"):
            assert {"items", "next"} <= set(part["required"]), name


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/events", ["GET", "HEAD", "OPTIONS", "POST"]),
        ("/api/v1/sensors/replay", ["OPTIONS", "POST"]),
        ("/api/v1/firings/f-1/events", ["GET", "HEAD", "OPTIONS"]),
        ("/healthz", ["GET", "HEAD", "OPTIONS"]),
    ],
)
def test_the_methods_of_a_path_are_those_of_its_own_routes(path: str, methods: list[str]) -> None:
    assert allowed(api(), path) == methods
