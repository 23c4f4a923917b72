"""What forges and services send: whom we believe, what becomes of it, and what is one event."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from eventsources.http.answers import Refusal
from eventsources.http.sns_signature import check_signature, check_url, text_to_sign
from tests.servers.certificates import signing_pair
from tests.unit.http_world import ARGO, OURS, opened

SECRET = "between-them-and-us"
KEYS = {"k": SECRET}
KEY = {"name": "s", "key": "k"}


def digest(*parts: bytes, secret: bytes = SECRET.encode()) -> str:
    return hmac.new(secret, b"".join(parts), "sha256").hexdigest()


# --- github ----------------------------------------------------------------------------------------------------------

PUSH = orjson.dumps({"ref": "refs/heads/main"})


def github(delivery: str, body: bytes = PUSH, **more: str) -> dict[str, str]:
    signed = {"x-hub-signature-256": f"sha256={digest(body)}"}
    return {"x-github-event": "push", "x-github-delivery": delivery, **signed, **more}


async def test_github_makes_upstreams_shape() -> None:
    async with opened("github", ARGO, KEYS, webhookSecret=KEY, owner="a", repository="b") as intake:
        status, answer, _ = await intake.ask(PUSH, {"content-type": "application/json", **github("d-1")})

    (event,) = intake.events
    assert (status, answer) == (200, b"success")
    assert (event.id, event.type) == ("d-1", "github")
    assert set(event.data) == {"headers", "body"}
    assert event.data["body"] == {"ref": "refs/heads/main", "X-GitHub-Event": "push", "X-GitHub-Delivery": "d-1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": f"sha256={digest(b'other')}"},
        {"x-hub-signature-256": digest(PUSH)},
        {"x-hub-signature-256": f"sha256={digest(PUSH, secret=b'other')}"},
        {"x-hub-signature-256": "sha256=" + "ü" * 64},
    ],
)
async def test_a_signature_that_is_not_githubs_is_401(wrong: dict[str, str]) -> None:
    async with opened("github", secrets=KEYS, webhookSecret=KEY) as intake:
        assert await intake.post(PUSH, github("d", **wrong)) == 401
        assert intake.events == []


async def test_the_older_signature_alone_proves_nothing() -> None:
    headers = {
        "x-github-event": "push",
        "x-hub-signature": "sha1=" + hmac.new(SECRET.encode(), PUSH, "sha1").hexdigest(),
    }
    async with opened("github", secrets=KEYS, webhookSecret=KEY) as intake:
        assert await intake.post(PUSH, headers) == 401


async def test_what_was_signed_once_is_not_believed_again_under_another_id() -> None:
    """No signature covers the delivery's id: so the same bytes within the window are the first delivery again."""
    async with opened("github", secrets=KEYS, webhookSecret=KEY) as intake:
        await intake.post(PUSH, github("d-1"))
        await intake.post(PUSH, github("d-2"))
        intake.clock.advance(301)
        await intake.post(PUSH, github("d-3"))

    assert [event.id for event in intake.events] == ["d-1", "d-1", "d-3"]


async def test_githubs_form_is_read() -> None:
    body = urlencode({"payload": PUSH.decode()}).encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with opened("github", secrets=KEYS, webhookSecret=KEY, contentType="form") as intake:
        status, _, _ = await intake.ask(body, {**form, **github("d-1", body)})

    assert status == 200
    assert intake.events[0].data["body"]["ref"] == "refs/heads/main"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "text/xml"}, b"<a/>", 415),
        ({"content-type": "application/json"}, b"[]", 400),
        ({"content-type": "application/json"}, b"", 400),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", 400),
    ],
)
async def test_what_is_no_delivery_of_github_is_refused(headers: dict[str, str], body: bytes, status: int) -> None:
    async with opened("github", secrets=KEYS, webhookSecret=KEY) as intake:
        assert (await intake.ask(body, {**headers, **github("d", body)}))[0] == status


# --- gitlab, bitbucket, gitea ----------------------------------------------------------------------------------------

GITLAB = {"gitlabBaseURL": "https://gitlab.example.org", "accessToken": KEY, "events": ["PushEvents"]}


@pytest.mark.parametrize("version", [OURS, ARGO])
@pytest.mark.parametrize(("token", "status"), [(SECRET, 200), ("wrong", 401), ("", 401)])
async def test_gitlabs_token_is_checked_whoever_made_the_hook(version: str, token: str, status: int) -> None:
    async with opened("gitlab", version, KEYS, secretToken=KEY, **GITLAB) as intake:
        assert await intake.post({}, {"x-gitlab-token": token}) == status
        assert len(intake.events) == (status == 200)


async def test_gitlabs_signature_is_checked_with_its_time() -> None:
    key = base64.b64encode(b"0" * 32).decode()
    async with opened("gitlab", secrets={"k": f"whsec_{key}"}, secretToken=KEY, **GITLAB) as intake:
        now = int(intake.clock.now().timestamp())

        async def post(body: bytes, signed: bytes, when: int) -> int:
            made = hmac.new(b"0" * 32, b"id-1." + str(when).encode() + b"." + signed, "sha256").digest()
            signature = f"v1,{base64.b64encode(made).decode()}"
            headers = {"webhook-id": "id-1", "webhook-timestamp": str(when), "webhook-signature": f"v1,no {signature}"}
            return await intake.post(body, headers)

        assert await post(b"{}", b"{}", now) == 200
        assert await post(b'{"a": 1}', b"{}", now) == 401
        assert await post(b"{}", b"{}", now - 301) == 401
        assert await post(b"{}", b"{}", now + 301) == 401

    assert [event.id for event in intake.events] == ["id-1"]


async def test_gitlabs_token_stays_out_of_the_event() -> None:
    async with opened("gitlab", secrets=KEYS, secretToken=KEY, **GITLAB) as intake:
        await intake.post({}, {"x-gitlab-token": SECRET})

    assert SECRET.encode() not in intake.events[0].to_json()


async def test_a_second_attempt_of_bitbucket_is_the_same_event() -> None:
    body = b'{"push": {}}'
    signed = {"x-event-key": "repo:push", "x-hub-signature": f"sha256={digest(body)}"}
    async with opened("bitbucket", secrets=KEYS, webhookSecret=KEY) as intake:
        for uuid, attempt in (("u-1", "1"), ("u-2", "2")):
            assert await intake.post(body, {**signed, "x-request-uuid": uuid, "x-attempt-number": attempt}) == 200
        assert await intake.post(b"{}", {**signed, "x-request-uuid": "u-3"}) == 401

    assert [event.id for event in intake.events] == ["u-1", "u-1"]


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
async def test_gitea_and_forgejo_are_believed_by_their_signature(forge: str) -> None:
    headers = {f"x-{forge}-event": "push", f"x-{forge}-delivery": "d", f"x-{forge}-signature": digest(PUSH)}
    async with opened("gitea", secrets=KEYS, webhookSecret=KEY) as intake:
        assert await intake.post(PUSH, headers) == 200
        assert await intake.post(b"{}", headers) == 401

    assert [event.id for event in intake.events] == ["d"]


# --- cloudevents -----------------------------------------------------------------------------------------------------

CE = {"specversion": "1.0", "id": "1", "source": "/lake", "type": "object.made", "time": "2026-11-20T08:15:00Z"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


async def test_a_cloudevent_keeps_id_source_and_time_in_all_three_forms() -> None:
    binary = {f"ce-{name}": value for name, value in CE.items()}
    async with opened("cloudevents") as intake:
        assert (await intake.ask(orjson.dumps({**CE, "data": {"a": 1}}), STRUCTURED))[0] == 202
        assert (await intake.ask(b'{"a": 1}', {"content-type": "application/json", **binary}))[0] == 202
        status, answer, _ = await intake.ask(orjson.dumps([{**CE, "id": "2"}, {**CE, "id": "3", "x": "y"}]), BATCH)

    first, second, third, fourth = intake.events
    assert first.key == second.key
    assert (first.id, first.source, first.type, first.subject) == ("1", "/lake", "object.made", "thing")
    assert first.time == datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    assert first.data == second.data == {"a": 1}
    assert (status, orjson.loads(answer)) == (202, {"ids": ["2", "3"]})
    assert (third.id, fourth.extensions["x"]) == ("2", "y")


async def test_a_batch_is_taken_whole_or_not_at_all() -> None:
    async with opened("cloudevents") as intake:
        assert (await intake.ask(orjson.dumps([CE, {"id": "2"}]), BATCH))[0] == 400
        assert intake.events == []


@pytest.mark.parametrize("event", [{**CE, "source": "retrain"}, {**CE, "retrainparent": "x"}])
async def test_nobody_tells_what_only_the_platform_may_tell(event: dict[str, str]) -> None:
    async with opened("cloudevents") as intake:
        assert (await intake.ask(orjson.dumps(event), STRUCTURED))[0] == 400
        assert intake.events == []


async def test_what_is_no_cloudevent_is_415() -> None:
    async with opened("cloudevents") as intake:
        status, _, headers = await intake.ask(b"{}", {"content-type": "application/json"})

    assert status == 415
    assert "application/cloudevents+json" in headers["accept-post"]


@pytest.mark.parametrize(("source", "status"), [("/lake", 202), ("/sea/1", 202), ("/sea", 403), ("/other", 403)])
async def test_only_the_sources_that_are_named_may_be_claimed(source: str, status: int) -> None:
    async with opened("cloudevents", sources=["/lake", "/sea/*"]) as intake:
        assert (await intake.ask(orjson.dumps({**CE, "source": source}), STRUCTURED))[0] == status


async def test_renamed_events_are_the_entrys_own_and_keep_apart_what_was_apart() -> None:
    async with opened("cloudevents", renamed=True) as intake:
        await intake.ask(orjson.dumps({**CE, "subject": "x"}), STRUCTURED)

    (event,) = intake.events
    assert (event.source, event.subject, event.id) == ("es", "thing", "/lake#1")
    assert dict(event.extensions) == {"cesource": "/lake", "cesubject": "x"}


# --- alertmanager ----------------------------------------------------------------------------------------------------


def alert(status: str = "firing", began: str = "2026-11-20T08:15:00.123456789Z", **more: Any) -> dict[str, Any]:
    ended = "2026-11-20T09:00:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    return {"status": status, "labels": {"a": "b"}, "startsAt": began, "endsAt": ended, "fingerprint": "f", **more}


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "receiver": "r", "groupLabels": {"x": "y"}, "alerts": list(alerts)}


async def test_each_alert_is_an_event_when_it_fires_and_another_when_it_is_resolved() -> None:
    again = "2026-11-21T08:15:00Z"
    async with opened("alertmanager") as intake:
        for body in (alert(), alert(), alert("resolved"), alert(began=again)):
            assert await intake.post(message(body)) == 200

    fired, repeated, resolved, fired_again = intake.events
    assert fired.id == repeated.id
    assert len({fired.id, resolved.id, fired_again.id}) == 3
    assert "f" in fired.id
    assert fired.time == datetime(2026, 11, 20, 8, 15, 0, 123456, tzinfo=UTC)
    assert resolved.time == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert fired.data["body"]["labels"] == {"a": "b"}
    assert fired.data["group"]["groupLabels"] == {"x": "y"}
    assert "alerts" not in fired.data["group"]


async def test_a_message_of_many_alerts_is_many_events_and_states_are_chosen() -> None:
    body = message(alert(fingerprint="1"), alert("resolved", fingerprint="2"))
    async with opened("alertmanager", states=["resolved"]) as intake:
        assert await intake.post(body) == 200

    assert [event.data["body"]["fingerprint"] for event in intake.events] == ["2"]


@pytest.mark.parametrize("body", [{}, {"alerts": []}, {"version": "3", "alerts": []}, message({"status": "odd"}), []])
async def test_what_is_no_message_of_alertmanager_is_400(body: Any) -> None:
    async with opened("alertmanager") as intake:
        assert await intake.post(body) == 400


# --- slack -----------------------------------------------------------------------------------------------------------


def slack(body: bytes, when: int) -> dict[str, str]:
    signature = f"v0={digest(b'v0:', str(when).encode(), b':', body)}"
    return {"x-slack-request-timestamp": str(when), "x-slack-signature": signature}


async def test_slack_is_believed_by_its_signature_of_now() -> None:
    body = orjson.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"type": "message", "text": "hi"}})
    async with opened("slack", secrets=KEYS, signingSecret=KEY) as intake:
        now = int(intake.clock.now().timestamp())
        assert await intake.post(body, slack(body, now)) == 200
        assert await intake.post(body, slack(body, now - 301)) == 401
        assert await intake.post(body, slack(b"other", now)) == 401
        assert await intake.post(body, {}) == 401

    (event,) = intake.events
    assert (event.id, event.data) == ("Ev1", {"type": "message", "Data": {"type": "message", "text": "hi"}})


async def test_slacks_question_is_answered_only_if_it_is_slacks() -> None:
    body = orjson.dumps({"type": "url_verification", "challenge": "c-1"})
    async with opened("slack", secrets=KEYS, signingSecret=KEY) as intake:
        now = int(intake.clock.now().timestamp())
        status, answer, _ = await intake.ask(body, slack(body, now))
        assert await intake.post(body, {}) == 401

    assert (status, answer) == (200, b"c-1")
    assert intake.events == []


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "/retrain", "text": "now", "trigger_id": "t-1", "token": "older-proof"},
        {"payload": orjson.dumps({"type": "block_actions", "trigger_id": "t-1", "token": "older-proof"}).decode()},
    ],
)
async def test_commands_and_clicks_are_events_without_their_token(fields: dict[str, str]) -> None:
    body = urlencode(fields).encode()
    async with opened(
        "slack", secrets={**KEYS, "t": "older-proof"}, signingSecret=KEY, token={"name": "s", "key": "t"}
    ) as intake:
        headers = slack(body, int(intake.clock.now().timestamp()))
        status, answer, _ = await intake.ask(body, {"content-type": "application/x-www-form-urlencoded", **headers})

    (event,) = intake.events
    assert (status, answer, event.id) == (200, b"", "t-1")
    assert b"older-proof" not in event.to_json()


# --- stripe ----------------------------------------------------------------------------------------------------------


async def test_stripe_is_believed_by_one_of_its_signatures_of_now() -> None:
    body = orjson.dumps({"id": "evt_1", "type": "charge.succeeded", "created": 1_700_000_000})
    async with opened("stripe", secrets=KEYS, signingSecret=KEY) as intake:
        now = int(intake.clock.now().timestamp())

        def header(when: int, signed: bytes = body) -> dict[str, str]:
            good = digest(str(when).encode(), b".", signed)
            return {"stripe-signature": f"t={when},v1={'0' * 64},v1={good},v0=x"}

        assert await intake.post(body, header(now)) == 200
        assert await intake.post(body, header(now - 301)) == 401
        assert await intake.post(body, header(now, b"other")) == 401
        assert await intake.post(body, {}) == 401

    (event,) = intake.events
    assert (event.id, event.data["event"]["type"]) == ("evt_1", "charge.succeeded")
    assert event.time == datetime.fromtimestamp(1_700_000_000, UTC)


async def test_events_of_stripe_that_are_not_wanted_are_taken_and_dropped() -> None:
    async with opened("stripe", ARGO, eventFilter=["charge.failed"]) as intake:
        assert await intake.post({"id": "evt_1", "type": "charge.succeeded"}) == 200
        assert await intake.post({"id": "evt_2", "type": "charge.failed"}) == 200

    assert [event.id for event in intake.events] == ["evt_2"]


# --- sns -------------------------------------------------------------------------------------------------------------

TOPIC = "arn:aws:sns:us-east-1:1:t"
NOTE = {
    "Type": "Notification",
    "MessageId": "m",
    "TopicArn": TOPIC,
    "Message": "hi",
    "Timestamp": "2026-11-20T08:15:00Z",
}


@pytest.mark.parametrize(("version", "algorithm"), [("1", hashes.SHA1()), ("2", hashes.SHA256())])
def test_both_versions_of_sns_signatures_are_checked(version: str, algorithm: Any) -> None:
    key, pem = signing_pair()
    certificate, now = x509.load_pem_x509_certificate(pem.encode()), datetime.now(UTC)
    text = {**NOTE, "SignatureVersion": version}
    signature = base64.b64encode(key.sign(text_to_sign(text), padding.PKCS1v15(), algorithm)).decode()

    check_signature({**text, "Signature": signature}, certificate, now)

    for wrong in (
        {"Message": "ho"},
        {"SignatureVersion": "3"},
        {"Signature": ""},
        {"Subject": "new"},
        {"Signature": "ü"},
    ):
        with pytest.raises(Refusal):
            check_signature({**text, "Signature": signature, **wrong}, certificate, now)
    with pytest.raises(Refusal):
        check_signature({**text, "Signature": signature}, certificate, now + timedelta(days=30))


GOOD_URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123abc.pem"


@pytest.mark.parametrize(
    "url",
    [
        GOOD_URL.replace("https", "http"),
        GOOD_URL.replace(".com", ".com.evil.org"),
        GOOD_URL.replace("sns.us", "evil.us"),
        GOOD_URL.replace("https://", "https://user@"),
        GOOD_URL.replace("https://", "https://evil.org#@"),
        GOOD_URL.replace(".com/", ".com:8443/"),
        GOOD_URL.replace("/Simple", "/bucket/Simple"),
        "https://[::1",
        "",
        None,
    ],
)
def test_certificates_come_from_aws_only(url: Any) -> None:
    with pytest.raises(Refusal):
        check_url(url)
    assert check_url(GOOD_URL) == GOOD_URL
    assert check_url("http://127.0.0.1:4566/key.pem", "http://127.0.0.1:4566")


async def test_messages_of_another_topic_and_raw_ones_are_refused() -> None:
    spec = {"topicArn": TOPIC, "region": "us-east-1", "validateSignature": False}
    async with opened("sns", **spec) as intake:
        assert await intake.post({**NOTE, "TopicArn": "arn:aws:sns:us-east-1:2:t"}) == 403
        assert await intake.post(b"hi", {"x-amz-sns-rawdelivery": "true"}) == 400
        assert await intake.post({**NOTE, "Type": "Odd"}) == 400
        assert await intake.post(NOTE) == 200

    assert [event.id for event in intake.events] == ["m"]


async def test_an_unsigned_message_is_401_where_signatures_are_asked_for() -> None:
    async with opened("sns", topicArn=TOPIC, region="us-east-1") as intake:
        assert await intake.post(NOTE) == 401
        assert await intake.post({**NOTE, "SigningCertURL": "https://evil.org/a.pem"}) == 401
        assert intake.events == []
