"""What a firing of nats, kafka, email, slack or awsLambda asks for, before anything is sent."""

from __future__ import annotations

import contextlib
import email
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.errors import Permanent
from triggers import Firing, StaticSecrets, kafka_record, lambda_request, mail_message, nats_message, slack_message
from triggers.tls import TlsContexts

NOW = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
SECRETS = StaticSecrets({"s": {"k": "secret-48151623\n", "empty": ""}})
REF = {"name": "s", "key": "k"}

GOOD: dict[str, dict[str, Any]] = {
    "nats": {"url": "nats://host", "subject": "a.b", "payload": {"n": 1}},
    "kafka": {"url": "host", "topic": "t", "payload": {"n": 1}},
    "email": {"host": "mail", "from": "a@b.c", "to": ["d@e.f"], "subject": "s", "body": "b"},
    "slack": {"slackToken": REF, "channel": "c", "message": "m"},
    "awsLambda": {"functionName": "f", "region": "eu-central-1", "payload": {"n": 1}},
}
BUILD: dict[str, Callable[[Firing], Any]] = {
    "nats": lambda firing: nats_message.build_request(firing, SECRETS, TlsContexts()),
    "kafka": lambda firing: kafka_record.build_request(firing, SECRETS, TlsContexts()),
    "email": lambda firing: mail_message.build_request(firing, SECRETS, TlsContexts(), NOW),
    "slack": lambda firing: slack_message.build_request(firing, SECRETS),
    "awsLambda": lambda firing: lambda_request.build_request(firing, SECRETS),
}


def build(kind: str, **more: Any) -> Any:
    action = {"kind": kind} | GOOD[kind] | more
    return BUILD[kind](Firing("f-1", "s", "t", "", {name: value for name, value in action.items() if value != "-"}))


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("nats", {"url": "http://host"}, "nats.url must be nats://HOST:PORT"),
        ("nats", {"url": "nats://host:0"}, "nats.url must be"),
        ("nats", {"url": "nats://host:99999"}, "nats.url must be"),
        ("nats", {"url": "-"}, "nats.url is missing"),
        ("nats", {"subject": "a.*"}, "nats.subject 'a.*' is none"),
        ("nats", {"subject": "a b"}, "is none"),
        ("nats", {"subject": "a\r\nPUB b 0"}, "is none"),
        ("nats", {"subject": ".a"}, "is none"),
        ("nats", {"subject": "$JS.API.STREAM.DELETE.X"}, "is the server's own"),
        ("nats", {"subject": "_INBOX.x"}, "is the server's own"),
        ("nats", {"payload": "-"}, "nats.payload is missing"),
        ("nats", {"auth": {"basic": {}, "token": REF}}, "nats.auth has basic and token: write one of them"),
        ("nats", {"auth": {"jwt": REF}}, "nats.auth.jwt is not supported"),
        ("nats", {"auth": {"token": {"name": "s", "key": "none"}}}, "no secret 's' with a key 'none'"),
        ("nats", {"auth": {"token": {"name": "s", "key": "empty"}}}, "the secret is empty"),
        ("kafka", {"url": "host:port"}, "kafka.url 'host:port' is no broker"),
        ("kafka", {"url": "kafka://host"}, "is no broker"),
        ("kafka", {"topic": "a b"}, "kafka.topic 'a b' is none"),
        ("kafka", {"topic": ".."}, "is none"),
        ("kafka", {"topic": "x" * 250}, "is none"),
        ("kafka", {"requiredAcks": 2}, "kafka.requiredAcks must be a number from -1 to 1"),
        ("kafka", {"compress": "snappy"}, "kafka.compress must be true or false"),
        ("kafka", {"schemaRegistry": {"url": "x"}}, "kafka.schemaRegistry is not supported"),
        ("kafka", {"sasl": {"mechanism": "GSSAPI"}}, "kafka.sasl.mechanism 'GSSAPI' is not supported"),
        ("kafka", {"sasl": {"userSecret": REF}}, "kafka.sasl needs userSecret and passwordSecret"),
        ("kafka", {"secureHeaders": [{"valueFrom": {}}]}, "an entry has no name"),
        ("kafka", {"secureHeaders": [{"name": "x", "valueFrom": {}}]}, "must be a secretKeyRef or configMapKeyRef"),
        ("kafka", {"secureHeaders": {}}, ""),
        ("email", {"to": []}, "email.to is missing"),
        ("email", {"to": ["nobody"]}, "is no address"),
        ("email", {"to": ["a@b.c\r\nBcc: d@e.f"]}, "email.to holds a line break"),
        ("email", {"to": ["a@b.c>, <d@e.f"]}, "is no address"),
        ("email", {"to": ["ä@b.c"]}, "letters that not every mail server takes"),
        ("email", {"to": [f"a{n}@b.c" for n in range(101)]}, "101 addresses"),
        ("email", {"subject": "x\nBcc: d@e.f"}, "email.subject holds a line break"),
        ("email", {"subject": "x\u2028y"}, "email.subject holds a line break"),
        ("email", {"subject": "x" * 1000}, "email.subject is longer than"),
        ("email", {"from": "A\r\nB <a@b.c>"}, "email.from holds a line break"),
        ("email", {"body": "-"}, "email.body is missing"),
        ("email", {"host": "mail host"}, "is the name of no server"),
        ("email", {"port": 70000}, "email.port must be a number from 0 to 65535"),
        ("email", {"smtpPassword": REF}, "email.smtpPassword needs a username"),
        ("slack", {"slackToken": "-"}, "slack.slackToken is missing"),
        ("slack", {"message": "-"}, "slack has nothing to post"),
        ("slack", {"blocks": "[{"}, "slack.blocks is no JSON"),
        ("slack", {"blocks": "{}"}, "slack.blocks must be a list"),
        ("slack", {"blocks": [{}] * 51}, "51 blocks"),
        ("slack", {"message": "x" * 40_001}, "slack.message has 40001 characters"),
        ("slack", {"channel": "c\nd"}, "slack.channel holds a line break"),
        ("awsLambda", {"region": "-"}, "awsLambda.region is missing"),
        ("awsLambda", {"region": "evil.example.com/"}, "is no region"),
        ("awsLambda", {"functionName": "a b"}, "is no name or ARN"),
        ("awsLambda", {"invocationType": "Later"}, "awsLambda.invocationType 'Later' is none of"),
        ("awsLambda", {"roleARN": "train"}, "awsLambda.roleARN 'train' is no role"),
        ("awsLambda", {"accessKey": REF}, "accessKey and secretKey go together"),
        ("awsLambda", {"policy": {"k8s": {}}}, "policy.k8s is not supported for awsLambda"),
        ("awsLambda", {"invocationType": "Event", "payload": "x" * 1_100_000}, "AWS takes 1048576"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(kind: str, change: dict[str, Any], said: str) -> None:
    if not said:
        build(kind, **change)
        return
    with pytest.raises(Permanent) as caught:
        build(kind, **change)

    assert said in str(caught.value)
    assert "48151623" not in str(caught.value)


@pytest.mark.parametrize("kind", sorted(GOOD))
def test_a_request_does_not_show_its_secrets(kind: str) -> None:
    with_secret: dict[str, dict[str, Any]] = {
        "nats": {"auth": {"token": REF}, "url": "nats://ann:secret-48151623@host"},
        "kafka": {
            "sasl": {"userSecret": REF, "passwordSecret": REF},
            "secureHeaders": [{"name": "x", "valueFrom": {"secretKeyRef": REF}}],
        },
        "email": {"username": "ann", "smtpPassword": REF},
        "slack": {},
        "awsLambda": {"accessKey": REF, "secretKey": REF},
    }

    request = build(kind, **with_secret[kind])

    assert "48151623" not in repr(request)
    assert request.redact("no: secret-48151623") == "no: ***"


def test_a_nats_url_says_where_without_its_login() -> None:
    server = build("nats", url="nats://ann:hunter2@one:4333, nats://two").server

    assert server.where == "one:4333, two:4222"


def test_two_firings_with_the_same_login_share_a_connection() -> None:
    contexts = TlsContexts()
    firing = Firing("f-1", "s", "t", "", {"kind": "nats"} | GOOD["nats"] | {"tls": {"insecureSkipVerify": True}})

    first, second = (nats_message.build_request(firing, SECRETS, contexts).server for _ in range(2))

    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(("written", "acks"), [(None, -1), (0, -1), (1, 1), ("-1", -1)])
def test_a_record_is_never_sent_without_asking_for_an_acknowledgement(written: Any, acks: int) -> None:
    assert build("kafka", requiredAcks=written).cluster.acks == acks


def test_a_record_says_its_firing_and_no_header_can_say_another() -> None:
    record = build("kafka", headers={"retrain-firing": "mine", "n": 1}, partitioningKey="").record

    assert dict(record.headers) == {"retrain-firing": b"f-1", "n": b"1"}
    assert record.key == b""


def test_brokers_are_read_with_and_without_a_port() -> None:
    assert build("kafka", url="one, two:9093,[::1]:9094").cluster.servers == (
        ("one", 9092),
        ("two", 9093),
        ("::1", 9094),
    )


def test_a_payload_that_is_a_text_is_sent_as_it_is() -> None:
    assert build("kafka", payload="-", body="<xml/>").record.value == b"<xml/>"


def test_a_sender_may_have_a_name_and_defaults_to_the_login() -> None:
    named = build("email", **{"from": 'The "Trainer", Inc <a@b.c>'}).mail
    plain = build("email", **{"from": "-", "username": "ann@b.c"}).mail

    assert named.sender == "a@b.c"
    assert email.message_from_bytes(named.text, policy=email.policy.SMTP)["From"].addresses[0].display_name == (
        "The Trainer, Inc"
    )
    assert plain.sender == "ann@b.c"


@given(subject=st.text(min_size=1, max_size=300), body=st.text(min_size=1, max_size=500))
def test_no_text_of_an_event_adds_a_header_to_a_mail(subject: str, body: str) -> None:
    try:
        mail = build("email", subject=subject, body=body).mail
    except Permanent:
        return
    message = email.message_from_bytes(mail.text, policy=email.policy.SMTP)

    assert set(message.keys()) <= {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    }
    assert mail.text.isascii()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8) | st.sampled_from(["s", "k", "a@b.c", "host"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("kind", sorted(GOOD))
@given(data=st.data())
def test_an_action_of_any_shape_is_built_or_refused_in_our_words(kind: str, data: st.DataObject) -> None:
    fields = sorted(
        {
            "nats": nats_message.FIELDS,
            "kafka": kafka_record.FIELDS,
            "email": mail_message.FIELDS,
            "slack": slack_message.FIELDS,
            "awsLambda": lambda_request.FIELDS,
        }[kind]
        | {"policy"}
    )
    change = data.draw(st.dictionaries(st.sampled_from(fields), JSON, max_size=3))
    with contextlib.suppress(Permanent):
        build(kind, **change)
