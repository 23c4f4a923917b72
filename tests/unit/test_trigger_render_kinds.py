"""From a nats, kafka, email, slack or awsLambda trigger and its events to an action that its kind takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from retrain.errors import ConfigError
from retrain.events import Event
from sensors.actions.kinds import RENDERERS
from sensors.actions.match import Match
from sensors.actions.parameters import RenderError
from sensors.actions.render import compile_trigger
from sensors.filtering.content import Content
from sensors.trigger_spec import Trigger

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EVENT = Event(id="1", source="src", type="webhook", subject="x", data={"body": {"name": "churn", "n": 7}})
MATCH = Match("f-1", "", {"d": [EVENT.key]}, NOW, NOW, "", lambda _name, _key: Content(EVENT))
REF = {"name": "s", "key": "k"}


def src(key: str, **more: Any) -> dict[str, Any]:
    return {"dependencyName": "d", "dataKey": f"body.{key}", **more}


PAYLOAD = [{"src": src("name"), "dest": "model"}, {"src": src("n", useRawData=True), "dest": "n"}]


def render(kind: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    trigger = Trigger.model_validate({"template": {"name": "t", kind: body}, **more})
    return compile_trigger(trigger)(MATCH)


def test_a_message_has_its_payload_and_its_own_parameters_may_change_the_subject() -> None:
    body = {"url": "nats://host", "subject": "models.", "payload": PAYLOAD, "auth": {"token": REF}}

    action = render("nats", body | {"parameters": [{"src": src("name"), "dest": "subject", "operation": "append"}]})

    assert action == {
        "kind": "nats",
        "url": "nats://host",
        "subject": "models.churn",
        "payload": {"model": "churn", "n": 7},
        "auth": {"token": REF},
    }


def test_a_record_keeps_what_the_user_wrote_and_names_its_secrets_only() -> None:
    secure = [{"name": "x", "valueFrom": {"secretKeyRef": REF}}]
    body = {"url": "host", "topic": "t", "partitioningKey": "k", "secureHeaders": secure, "payload": PAYLOAD}

    action = render("kafka", body, retryStrategy={"steps": 2}, policy={"status": {"allow": [200]}})

    assert action == {
        "kind": "kafka",
        "url": "host",
        "topic": "t",
        "partitioningKey": "k",
        "secureHeaders": secure,
        "payload": {"model": "churn", "n": 7},
        "retryStrategy": {"steps": 2},
    }


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("email", {"host": "m", "from": "a@b.c", "to": ["d@e.f"], "subject": "s", "body": "b"}, "subject"),
        ("slack", {"slackToken": REF, "channel": "c", "message": "m"}, "message"),
    ],
)
def test_the_own_parameters_of_email_and_slack_work(kind: str, body: dict[str, Any], field: str) -> None:
    own = render(kind, body | {"parameters": [{"src": src("name"), "dest": field}]})
    above = render(kind, body, parameters=[{"src": src("name"), "dest": f"{kind}.{field}"}])

    assert own == above == {"kind": kind, **body, field: "churn"}


def test_a_parameter_adds_a_recipient() -> None:
    body = {"host": "m", "from": "a@b.c", "subject": "s", "body": "b"}

    assert render("email", body, parameters=[{"src": src("name"), "dest": "email.to.-1"}])["to"] == ["churn"]


def test_a_function_gets_its_policy() -> None:
    body = {"functionName": "f", "region": "r", "roleARN": "arn", "payload": PAYLOAD}

    action = render("awsLambda", body, policy={"status": {"allow": [202]}})

    assert action["roleARN"] == "arn"
    assert action["policy"] == {"status": {"allow": [202]}}


def test_what_a_kind_does_not_have_is_refused_by_name() -> None:
    body = {"url": "nats://host", "subject": "s", "payload": PAYLOAD}
    with pytest.raises(RenderError, match="nats: a parameter writes to 'surprise'"):
        render("nats", body | {"parameters": [{"src": src("name"), "dest": "surprise"}]})
    with pytest.raises(ConfigError, match=r"kafka.schemaRegistry is not built"):
        render("kafka", {"url": "h", "topic": "t", "schemaRegistry": {"url": "x"}})


def test_an_action_shares_nothing_with_the_next_one() -> None:
    trigger = Trigger.model_validate(
        {"template": {"name": "t", "slack": {"slackToken": REF, "channel": "c", "message": "m"}}}
    )
    made = compile_trigger(trigger)
    made(MATCH)["channel"] = "other"

    assert made(MATCH)["channel"] == "c"
    assert len(RENDERERS) == 5
