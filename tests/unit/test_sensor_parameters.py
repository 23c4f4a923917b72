"""Parameters: where values come from, where they go, and what there is to say where they cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from retrain.errors import ConfigError
from retrain.events import Event, EventKey
from sensors.actions.match import Match
from sensors.actions.parameters import Parameters, RenderError
from sensors.filtering.content import Content
from sensors.shapes import Parameter

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
BODY = {"msg": "hi", "n": 7, "big": 1000000, "f": 1.5, "t": True, "z": None, "arr": ["a"], "obj": {"k": "v"}}


def event(id_: str, data: Any, **fields: Any) -> Event:
    given = {"source": "src", "type": "webhook", "subject": "x", "datacontenttype": "application/json"}
    return Event(**{"id": id_, **given, "data": data, **fields})


def matched(**came: list[Event] | Event) -> Match:
    """A match of events by dependency."""
    events = {name: one if isinstance(one, list) else [one] for name, one in came.items()}
    by_key = {(name, one.key): Content(one) for name, many in events.items() for one in many}
    members: dict[str, list[EventKey]] = {name: [one.key for one in many] for name, many in events.items()}
    return Match("f-1", "", members, NOW, NOW, "/data/manifests/f-1.ndjson", lambda name, key: by_key[name, key])


def parameters(*written: dict[str, Any]) -> Parameters:
    return Parameters(Parameter.model_validate(one) for one in written)


def apply(src: dict[str, Any], match: Match | None = None, document: Any = None, **more: Any) -> Any:
    """What one parameter puts at `x`."""
    match = match or matched(d=event("1", {"body": BODY}))
    changed = parameters({"src": {"dependencyName": "d", **src}, "dest": "x", **more}).apply(
        {"x": "orig"} if document is None else document, match
    )
    return changed["x"]


@pytest.mark.parametrize(
    ("src", "text"),
    [
        ({"dataKey": "body.msg"}, "hi"),
        ({"dataKey": "body.n"}, "7"),
        ({"dataKey": "body.big"}, "1000000"),
        ({"dataKey": "body.t"}, "true"),
        ({"dataKey": "body.z"}, "null"),
        ({"dataKey": "body.obj"}, '{"k":"v"}'),
        ({"dataKey": "body.n", "useRawData": True}, 7),
        ({"dataKey": "body.z", "useRawData": True}, None),
        ({"dataKey": "body.obj", "useRawData": True}, {"k": "v"}),
        ({"dataKey": "body.msg", "useRawData": True}, "hi"),
        ({"contextKey": "type"}, "webhook"),
        ({"value": "given"}, "given"),
        ({"dataTemplate": "{{ .Input.body.msg }}-{{ .Input.body.n }}"}, "hi-7"),
        ({"dataTemplate": "{{ .Input.body.big }}"}, "1e+06"),
        ({"dataTemplate": "pre-{{ .Input.body.nope }}"}, "pre-<no value>"),
        ({"dataTemplate": "{{ toJson .Input.body.obj }}", "useRawData": True}, '{"k":"v"}'),
        ({"contextTemplate": "{{ .Input.source }}/{{ .Input.subject }}"}, "src/x"),
    ],
)
def test_a_value_is_a_text_unless_it_is_asked_for_as_it_is(src: dict[str, Any], text: Any) -> None:
    assert apply(src) == text


def test_without_anything_asked_for_the_whole_event_is_the_value() -> None:
    whole = orjson.loads(apply({}))

    assert set(whole) == {"context", "data"}
    assert whole["context"]["id"] == "1"


@pytest.mark.parametrize(
    ("src", "text"),
    [
        ({"dataTemplate": "{{ .Input.nope }}", "dataKey": "body.msg", "value": "v"}, "hi"),
        ({"dataTemplate": '{{ fail "no" }}', "dataKey": "body.nope", "value": "v"}, "v"),
        ({"dataTemplate": "{{ no }}", "dataKey": "body.msg"}, "hi"),
        ({"dataKey": "body.nope", "value": "v"}, "v"),
        ({"contextTemplate": "{{ .Input.type }}", "dataKey": "body.msg"}, "hi"),
        ({"contextKey": "type", "dataTemplate": "{{ .Input.body.n }}"}, "7"),
    ],
)
def test_template_then_key_then_value_and_data_before_context(src: dict[str, Any], text: str) -> None:
    assert apply(src) == text


@pytest.mark.parametrize(
    ("src", "words"),
    [
        ({"dataKey": "body.nope"}, "the event of 'd' has no 'body.nope'"),
        ({"contextKey": "nope"}, "the event of 'd' has no 'nope'"),
        ({"dataTemplate": '{{ fail "because" }}'}, "because"),
        ({"dataTemplate": "{{ .Input.nope }}"}, "made no value"),
    ],
)
def test_what_leads_nowhere_without_a_value_is_an_error(src: dict[str, Any], words: str) -> None:
    with pytest.raises(RenderError, match=words):
        apply(src)


def test_a_template_that_is_none_is_refused_at_once_where_nothing_else_is_written() -> None:
    with pytest.raises(ConfigError):
        parameters({"src": {"dependencyName": "d", "dataTemplate": "{{ no }}"}, "dest": "x"})


def test_data_that_is_no_json_is_an_error_or_the_default() -> None:
    match = matched(d=event("1", b"\xff"))

    assert apply({"dataKey": "a", "value": "v"}, match) == "v"
    with pytest.raises(RenderError, match="no JSON"):
        apply({"dataKey": "a"}, match)
    with pytest.raises(RenderError, match="no JSON"):
        apply({}, match)


def test_a_template_knows_the_time_of_the_match_and_the_chance_of_the_firing() -> None:
    assert apply({"dataTemplate": '{{ now | date "2006-01-02" }}'}) == "2026-11-20"
    assert apply({"dataTemplate": "{{ uuidv4 }}"}) == apply({"dataTemplate": "{{ uuidv4 }}"})
    first, second = apply({"window": "list", "dataTemplate": "{{ uuidv4 }}", "useRawData": True}, WINDOW)
    assert first != second


def test_append_and_prepend_join_texts_and_set_what_is_not_there() -> None:
    assert apply({"dataKey": "body.msg"}, operation="append") == "orighi"
    assert apply({"dataKey": "body.msg"}, operation="prepend") == "hiorig"
    assert apply({"dataKey": "body.n", "useRawData": True}, document={"x": 1}, operation="append") == "17"
    assert apply({"dataKey": "body.msg"}, document={"y": 1}, operation="append") == "hi"


def test_the_document_that_is_given_stays_as_it_is() -> None:
    document = {"x": {"y": "orig"}}

    parameters({"src": {"dependencyName": "d", "value": "new"}, "dest": "x.y"}).apply(
        document, matched(d=event("1", 1))
    )

    assert document == {"x": {"y": "orig"}}


def test_a_dependency_that_has_not_come_leaves_its_parameter_out_or_gives_its_value() -> None:
    match = matched(other=event("1", {}))

    assert apply({"dataKey": "body.msg"}, match) == "orig"
    assert apply({"dataKey": "body.msg", "value": "v"}, match) == "v"


def test_in_a_payload_a_dependency_that_has_not_come_is_an_error() -> None:
    made = parameters({"src": {"dependencyName": "d", "dataKey": "a"}, "dest": "a"})

    with pytest.raises(RenderError, match="no event of 'd' came"):
        made.payload(matched(other=event("1", {})))


def test_a_payload_is_made_of_its_parameters_and_one_without_dest_is_all_of_it() -> None:
    match = matched(d=event("1", {"body": BODY}))
    raw = {"dependencyName": "d", "dataKey": "body.n", "useRawData": True}
    whole = {"src": {"dependencyName": "d", "dataKey": "body.obj"}}

    assert parameters({"src": raw, "dest": "a.b"}).payload(match) == {"a": {"b": 7}}
    assert parameters(whole, {"src": raw, "dest": "a"}).payload(match) == {"k": "v"}
    assert parameters({"src": {"dependencyName": "no", "dataKey": "a"}}, {"src": raw, "dest": "a"}).payload(match) == {
        "a": 7
    }
    assert parameters().payload(match) is None


def test_headers_are_texts_by_their_names() -> None:
    match = matched(d=event("1", {"body": BODY}))

    assert parameters({"src": {"dependencyName": "d", "dataKey": "body.n"}, "dest": "X-N"}).texts(match) == {"X-N": "7"}
    with pytest.raises(RenderError, match="needs an event of 'no'"):
        parameters({"src": {"dependencyName": "no", "dataKey": "a"}, "dest": "X-N"}).texts(match)


@pytest.mark.parametrize(
    "written",
    [
        {"src": {"dependencyName": "d"}, "dest": "x", "operation": "merge"},
        {"dest": "x"},
        {"src": {"dependencyName": "d", "dataKey": "a.@keys"}, "dest": "x"},
        {"src": {"dependencyName": "d", "window": "all"}, "dest": "x"},
        {"src": {"window": "first"}, "dest": "x"},
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(written: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parameters(written)


# --- windows ---


def put(key: str, size: int = 1) -> dict[str, Any]:
    record = {
        "eventName": "s3:ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": size}},
    }
    return {"notification": [record]}


WINDOW = matched(
    d=[event("1", put("in%2Fa.csv", 3), type="minio"), event("2", put("b+c.csv", 4), type="minio")],
    other=event("3", {"body": {"n": 1}}),
)


@pytest.mark.parametrize(
    ("src", "value"),
    [
        ({"window": "count"}, 2),
        ({"window": "count", "dependencyName": ""}, 3),
        ({"window": "count", "dependencyName": "nobody"}, 0),
        ({"window": "first", "dataKey": "notification.0.s3.object.size"}, 3),
        ({"window": "last", "dataKey": "notification.0.s3.object.size"}, 4),
        ({"window": "first", "dependencyName": "nobody", "value": "none"}, "none"),
        ({"window": "keys"}, ["in/a.csv", "b c.csv"]),
        ({"window": "keys", "dependencyName": ""}, ["in/a.csv", "b c.csv", "3"]),
        ({"window": "list", "dataKey": "notification.0.s3.object.size"}, [3, 4]),
        ({"window": "list", "dataTemplate": "{{ len .Input.notification }}"}, ["1", "1"]),
        ({"window": "list", "contextKey": "id"}, ["1", "2"]),
        ({"window": "list", "dependencyName": "other"}, [{"body": {"n": 1}}]),
        ({"window": "list", "dependencyName": "", "dataKey": "body.n", "value": "-"}, ["-", "-", 1]),
        ({"window": "list", "dependencyName": "nobody"}, []),
        ({"window": "manifest"}, "/data/manifests/f-1.ndjson"),
    ],
)
def test_a_window_tells_of_all_its_events(src: dict[str, Any], value: Any) -> None:
    assert apply({"useRawData": True, **src}, WINDOW) == value


def test_a_list_is_a_text_unless_it_is_asked_for_as_it_is() -> None:
    assert apply({"window": "keys"}, WINDOW) == '["in/a.csv","b c.csv"]'
    assert apply({"window": "count"}, WINDOW) == "2"


def test_a_list_with_an_event_that_lacks_the_value_is_an_error() -> None:
    with pytest.raises(RenderError, match=r"has no 'body\.n'"):
        apply({"window": "list", "dependencyName": "", "dataKey": "body.n"}, WINDOW)


def test_a_list_is_bounded_and_says_to_use_the_manifest() -> None:
    many = matched(d=[event(str(i), {"body": "x" * 1000}) for i in range(1100)])

    with pytest.raises(RenderError, match="window: manifest"):
        apply({"window": "list"}, many)
    assert apply({"window": "count", "useRawData": True}, many) == 1100
