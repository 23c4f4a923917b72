"""`{{inputs.parameters.<source>-<what>}}`: which event it means, what of it, and what is said where there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.events import OBJECT, Event, EventKey
from sensors.actions.about import about
from sensors.actions.match import Match
from sensors.actions.parameters import RenderError
from sensors.actions.render import compile_trigger
from sensors.actions.s3_records import s3_object
from sensors.actions.variable_table import VARIABLES, portable_source
from sensors.actions.variables import compile_arguments, variables_in
from sensors.filtering.content import Content
from sensors.trigger_spec import Trigger

NOW = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)


def record(key: str = "in%2Fdata.csv", source: str = "minio:s3") -> dict[str, Any]:
    thing = {"key": key, "size": 22, "eTag": '"abc"', "versionId": "v1", "sequencer": "1"}
    return {
        "eventSource": source,
        "eventName": "s3:ObjectCreated:Put",
        "s3": {"bucket": {"name": "b"}, "object": thing},
    }


def event(data: Any, type_: str = "minio", **fields: Any) -> Event:
    return Event(
        **{"id": "e1", "source": "s3-events", "type": type_, "subject": "new", "data": data, "time": NOW, **fields}
    )


def matched(**came: Event) -> Match:
    members: dict[str, list[EventKey]] = {name: [one.key] for name, one in came.items()}
    return Match("f-1", "", members, NOW, NOW, "", lambda name, _key: Content(came[name]))


def fill(text: str, match: Match) -> str:
    workflow = {"kind": "Workflow", "spec": {"arguments": {"parameters": [{"name": "p", "value": text}]}}}
    made = compile_arguments(workflow)
    assert made is not None
    return made(match)["spec"]["arguments"]["parameters"][0]["value"]


S3 = matched(files=event({"notification": [record()]}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("s3-key", "in/data.csv"),
        ("s3-bucket", "b"),
        ("s3-url", "s3://b/in/data.csv"),
        ("s3-etag", "abc"),
        ("s3-size", "22"),
        ("s3-version", "v1"),
        ("s3-event-name", "s3:ObjectCreated:Put"),
        ("s3-count", "1"),
        ("s3-id", "e1"),
        ("s3-time", "2026-11-20T08:15:00Z"),
        ("minio-key", "in/data.csv"),
        ("s3-events-key", "in/data.csv"),
        ("files-key", "in/data.csv"),
        ("files-type", "minio"),
        ("s3-events-subject", "new"),
    ],
)
def test_an_object_is_told_by_kind_by_source_and_by_dependency(name: str, value: str) -> None:
    assert fill(f"{{{{inputs.parameters.{name}}}}}", S3) == value


def test_variables_stand_in_a_text_and_argos_own_are_left_to_argo() -> None:
    text = "s3://{{inputs.parameters.s3-bucket}}/{{ inputs.parameters.s3-key }}?{{workflow.name}}{{=1+1}}"

    assert fill(text, S3) == "s3://b/in/data.csv?{{workflow.name}}{{=1+1}}"


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        ({"notification": [record()]}, "minio"),
        ({"body": {"Records": [record("in/data.csv", "aws:s3")]}}, "sqs"),
        ({"body": {"Records": [record("in/data.csv", "aws:s3")]}, "header": {}}, "webhook"),
        ({"body": {"Message": orjson.dumps({"Records": [record("in/data.csv", "aws:s3")]}).decode()}}, "sns"),
        ({"Records": [record("in/data.csv", "aws:s3")]}, "custom"),
        ({"notification": {"Message": {"Records": [record("in/data.csv", "sgws:s3")]}}}, "storagegrid"),
        ({"body": {"detail": {"bucket": {"name": "b"}, "object": {"key": "in/data.csv", "size": 22}}}}, "sqs"),
    ],
)
def test_whatever_is_s3_shaped_is_s3(data: Any, type_: str) -> None:
    match = matched(files=event(data, type_))

    assert fill("{{inputs.parameters.s3-url}} {{inputs.parameters.s3-size}}", match) == "s3://b/in/data.csv 22"


@pytest.mark.parametrize(
    ("key", "source", "decoded"),
    [
        ("a%2Fb+c%2Bd.csv", "minio:s3", "a/b c+d.csv"),
        ("a/b+c.csv", "minio:s3", "a/b+c.csv"),  # a slash: MinIO did not encode it
        ("a/b+c%2Bd.csv", "aws:s3", "a/b c+d.csv"),
        ("a b.csv", "aws:s3", "a b.csv"),
        ("caf%C3%A9.csv", "aws:s3", "café.csv"),
    ],
)
def test_a_key_is_decoded_where_it_was_encoded(key: str, source: str, decoded: str) -> None:
    found = s3_object(Content(event({"notification": [record(key, source)]})))

    assert found is not None
    assert found.key == decoded


def test_what_our_own_source_says_of_the_key_wins() -> None:
    one = event({"notification": [record("a+b.csv")]}, extensions={OBJECT: "s3://b/a%2Bb.csv"})

    assert about(Content(one)) == "a+b.csv"


def test_after_a_transform_the_object_is_still_known() -> None:
    made = Content(event({"notification": [record()]}), '{"other": 1}')

    assert about(made) == "in/data.csv"


def test_what_is_no_object_is_about_its_file_or_itself() -> None:
    assert about(Content(event({"name": "/data/x.csv", "op": 1}, "file"))) == "/data/x.csv"
    assert about(Content(event({"body": 1}, "webhook"))) == "e1"
    assert about(Content(event(b"\xff", "webhook"))) == "e1"


NAMES = ["notification", "body", "Records", "Message", "detail", "s3", "bucket", "object", "key", "name"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["notification", "body", "Records", "Message", "detail", "s3", "bucket", "object", "key", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_no_payload_is_too_odd_to_be_about_something(data: Any) -> None:
    assert isinstance(about(Content(event(data))), str)


@pytest.mark.parametrize(
    ("data", "type_", "name", "value"),
    [
        ({"body": {"model": "m1", "n": 1.5, "ok": True, "o": {}}, "header": {}}, "webhook", "webhook-model", "m1"),
        ({"body": {"model": "m1", "n": 1.5, "ok": True}}, "webhook", "webhook-n", "1.5"),
        ({"body": {"model": "m1", "n": 1.5, "ok": True}}, "webhook", "webhook-ok", "true"),
        (
            {"topic": "t", "partition": 3, "offset": 12, "key": "k", "body": {"topic": "no"}},
            "kafka",
            "kafka-topic",
            "t",
        ),
        ({"topic": "t", "partition": 3, "offset": 12}, "kafka", "kafka-offset", "12"),
        ({"subject": "orders.new", "body": {}}, "nats", "nats-subject", "orders.new"),
        ({"name": "/data/x", "op": 1}, "file", "file-name", "/data/x"),
        ({"type": "ADD", "body": {"metadata": {"name": "pod"}}}, "resource", "resource-name", "pod"),
        ({"messageId": "m-1", "body": {"day": "2026-11-20"}}, "sqs", "sqs-day", "2026-11-20"),
        ({"run": "r-1"}, "dev.retrain.run", "s3-events-run", "r-1"),
    ],
)
def test_other_kinds_tell_their_own(data: Any, type_: str, name: str, value: str) -> None:
    assert fill(f"{{{{inputs.parameters.{name}}}}}", matched(d=event(data, type_))) == value


def test_a_sender_cannot_take_the_place_of_what_has_a_meaning() -> None:
    match = matched(d=event({"body": {"id": "forged", "source": "forged"}}, "webhook"))

    assert fill("{{inputs.parameters.webhook-id}} {{inputs.parameters.webhook-source}}", match) == "e1 s3-events"


def test_what_an_event_brings_is_not_read_again() -> None:
    match = matched(d=event({"body": {"a": "{{inputs.parameters.webhook-b}}", "b": "secret"}}, "webhook"))

    assert fill("{{inputs.parameters.webhook-a}}", match) == "{{inputs.parameters.webhook-b}}"


@pytest.mark.parametrize("name", ["s3-nope", "nope-key", "s3", "webhook-body"])
def test_a_variable_that_nothing_has_is_an_error_that_says_what_there_is(name: str) -> None:
    with pytest.raises(RenderError, match=r"there are .*s3-key, s3-bucket"):
        fill(f"{{{{inputs.parameters.{name}}}}}", S3)


def test_a_variable_of_two_dependencies_asks_for_the_name_of_one() -> None:
    two = matched(
        a=event({"notification": [record("a")]}), b=event({"notification": [record("b")]}, id="e2", source="more")
    )

    with pytest.raises(RenderError, match="begin it with the name of one: a, b"):
        fill("{{inputs.parameters.s3-key}}", two)
    assert fill("{{inputs.parameters.b-key}} {{inputs.parameters.s3-bucket}}", two) == "b b"
    assert fill("{{inputs.parameters.more-key}}", two) == "b"


def test_only_arguments_of_a_workflow_have_variables() -> None:
    text = "{{inputs.parameters.s3-key}}"
    templates = {"kind": "Workflow", "spec": {"templates": [{"container": {"args": [text]}}]}}

    assert compile_arguments(templates) is None
    assert compile_arguments({"kind": "CronWorkflow", "spec": {"arguments": {"parameters": [{"value": text}]}}}) is None
    assert compile_arguments({"kind": "Workflow", "spec": {"arguments": {"parameters": [{"value": 1}, 2]}}}) is None
    assert compile_arguments(None) is None


def test_the_table_names_each_variable_once() -> None:
    assert len({(row.source, row.what) for row in VARIABLES}) == len(VARIABLES)


@pytest.mark.parametrize(
    ("name", "dependencies", "source"),
    [
        ("s3-key", {"d": "s3-events"}, {"dependencyName": "d", "dataKey": "notification.0.s3.object.key"}),
        ("s3-events-key", {"d": "s3-events"}, {"dependencyName": "d", "dataKey": "notification.0.s3.object.key"}),
        ("b-bucket", {"a": "x", "b": "y"}, {"dependencyName": "b", "dataKey": "notification.0.s3.bucket.name"}),
        ("kafka-topic", {"d": "src"}, {"dependencyName": "d", "dataKey": "topic"}),
        ("webhook-id", {"webhook": "src"}, {"dependencyName": "webhook", "contextKey": "id"}),
        ("s3-url", {"d": "src"}, None),
        ("s3-key", {"a": "x", "b": "y"}, None),
        ("s3", {"d": "src"}, None),
    ],
)
def test_a_variable_has_a_portable_spelling_where_upstream_can_say_it(
    name: str, dependencies: dict[str, str], source: dict[str, str] | None
) -> None:
    assert portable_source(name, dependencies) == source


def test_the_portable_spelling_gives_the_same_value() -> None:
    one = event({"notification": [record("plain.csv")]})
    for row in VARIABLES:
        source = portable_source(f"s3-{row.what}", {"d": "src"}) if row.source in ("", "s3") else None
        if source is not None and row.what not in ("etag", "count"):
            put = {"src": source, "dest": "spec.x"}
            made = compile_trigger(trigger("argoWorkflow", {"resource": {"kind": "Workflow"}}, own=[put]))(
                matched(d=one)
            )
            assert made["resource"]["spec"]["x"] == fill(f"{{{{inputs.parameters.s3-{row.what}}}}}", matched(d=one))


def test_the_variables_of_a_workflow_can_be_listed() -> None:
    two = [{"name": "a", "value": "x"}, {"value": "{{inputs.parameters.s3-key}} {{inputs.parameters.s3-url}}"}]

    assert variables_in({"spec": {"arguments": {"parameters": two}}}) == [(1, "s3-key"), (1, "s3-url")]
    assert variables_in(None) == []


# --- in a trigger ---

RESOURCE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "spec": {"arguments": {"parameters": [{"name": "data-url", "value": "{{inputs.parameters.s3-key}}"}]}},
}


def trigger(kind: str, source: dict[str, Any], **more: Any) -> Trigger:
    own = more.pop("own", [])
    return Trigger.model_validate({"template": {"name": "t", kind: {"source": source, "parameters": own}}, **more})


def argument(action: dict[str, Any]) -> str:
    return action["resource"]["spec"]["arguments"]["parameters"][0]["value"]


@pytest.mark.parametrize("kind", ["argoWorkflow", "k8s"])
def test_a_trigger_fills_what_its_manifest_says(kind: str) -> None:
    for source in ({"resource": RESOURCE}, {"inline": orjson.dumps(RESOURCE).decode()}):
        assert argument(compile_trigger(trigger(kind, source))(S3)) == "in/data.csv"
        renamed = {"src": {"dependencyName": "files", "value": "u"}, "dest": "name"}
        assert argument(compile_trigger(trigger(kind, source, parameters=[renamed]))(S3)) == "in/data.csv"


@pytest.mark.parametrize("level", ["own", "parameters"])
def test_a_variable_that_an_event_brings_into_a_parameter_stays_a_text(level: str) -> None:
    match = matched(files=event({"notification": [record()], "note": "{{inputs.parameters.s3-bucket}}"}))
    dest = "spec.arguments.parameters.0.value"
    dest = dest if level == "own" else f"argoWorkflow.source.resource.{dest}"
    put = {"src": {"dependencyName": "files", "dataKey": "note"}, "dest": dest}

    render = compile_trigger(trigger("argoWorkflow", {"resource": RESOURCE}, **{level: [put]}))

    assert argument(render(match)) == "{{inputs.parameters.s3-bucket}}"
