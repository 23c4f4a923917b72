"""What the webhook answers, and the keys that it makes; without a cluster."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.admission import door
from retrain.app.admission.bundles import changes_of
from retrain.app.admission.certificates import Keys, Lives, due_at, fresh, next_due
from retrain.app.admission.reviews import WARNING, answered
from retrain.errors import ConfigError

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
LIVES = Lives(timedelta(days=300), timedelta(days=30))
NAMES = ("retrain-admission.ml.svc", "127.0.0.1")


def sensor(**spec: Any) -> dict[str, Any]:
    whole = {
        "dependencies": [{"name": "a", "eventSourceName": "e", "eventName": "a"}],
        "triggers": [{"template": {"name": "t", "log": {}}}],
        **spec,
    }
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor", "metadata": {"name": "s"}, "spec": whole}


def review(found: Any, before: Any = None, operation: str = "CREATE") -> dict[str, Any]:
    request = {"uid": "u-1", "operation": operation, "object": found, "oldObject": before}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def response(*given: Any, **more: Any) -> Any:
    return answered(review(*given, **more))["response"]


# --- reviews -------------------------------------------------------------------------------------------------------


def test_an_answer_names_the_review_that_it_answers() -> None:
    answer = answered(review(sensor()))

    assert answer == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u-1", "allowed": True},
    }


def test_what_is_wrong_is_said_with_its_path_and_what_would_be_right() -> None:
    found = response(sensor(triggers=[{"template": {"name": "t", "log": {}, "conditions": "aa"}}]))

    assert found["allowed"] is False
    assert found["status"]["message"].startswith("spec.triggers[0].template.conditions: ")
    assert "unknown dependency 'aa'" in found["status"]["message"]


def test_an_object_that_is_nested_beyond_all_use_is_refused() -> None:
    inner: dict[str, Any] = {}
    for _ in range(900):
        inner = {"a": inner}

    found = response(sensor(triggers=[{"template": {"name": "t", "log": inner}}]))

    assert found["allowed"] is False
    assert "nested deeper" in found["status"]["message"]


def test_a_long_warning_is_cut_to_what_kubectl_is_given() -> None:
    found = response(sensor(**{"x" * 400: 1}))

    assert [len(one) for one in found["warnings"]] == [WARNING]


def test_a_deletion_and_an_object_that_is_being_deleted_are_let_through() -> None:
    broken = sensor(triggers=[])

    assert response(None, broken, operation="DELETE")["allowed"]
    broken["metadata"]["deletionTimestamp"] = "2026-11-22T08:00:00Z"
    assert response(broken, operation="UPDATE")["allowed"]


def test_a_change_that_leaves_what_was_wrong_is_warned_of_and_another_is_refused() -> None:
    broken = sensor(triggers=[])
    labelled = {**broken, "metadata": {"name": "s", "labels": {"a": "b"}}}
    other = sensor(triggers=[], dependencies=[])

    kept, worse = response(labelled, broken, operation="UPDATE"), response(other, broken, operation="UPDATE")

    assert kept["allowed"]
    assert any("at least one trigger" in one for one in kept["warnings"])
    assert not worse["allowed"]


@pytest.mark.parametrize("raw", [None, [], {}, {"kind": "AdmissionReview"}, {"kind": "AdmissionReview", "request": 3}])
def test_what_is_no_review_is_told_so(raw: Any) -> None:
    with pytest.raises(ConfigError, match="AdmissionReview"):
        answered(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(spec=JSON, operation=st.sampled_from(["CREATE", "UPDATE"]))
def test_whatever_an_object_says_the_answer_is_an_answer(spec: Any, operation: str) -> None:
    found = response({**sensor(), "spec": spec}, operation=operation)

    assert found["uid"] == "u-1"
    assert found["allowed"] or found["status"]["message"]


# --- the door ------------------------------------------------------------------------------------------------------


async def posted(app: door.Door, body: bytes, *, path: str = "/admission", method: str = "POST") -> tuple[int, Any]:
    """One request; status and JSON."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", str(len(body)).encode())]
    await app({"type": "http", "path": path, "method": method, "headers": headers}, receive, send)
    return sent[0]["status"], orjson.loads(sent[1]["body"])


async def test_a_review_is_answered_and_everything_else_refused_by_its_status() -> None:
    app = door.Door()

    assert (await posted(app, orjson.dumps(review(sensor()))))[1]["response"]["allowed"]
    assert (await posted(app, b"{"))[0] == 400
    assert (await posted(app, b"{}"))[0] == 400
    assert (await posted(app, b"", method="GET"))[0] == 405
    assert (await posted(app, b"", path="/"))[0] == 404


async def test_a_body_beyond_the_bound_is_not_read() -> None:
    assert (await posted(door.Door(), b" " * (door.MAX_BODY + 1)))[0] == 413


async def test_a_review_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "TIME_S", 0.2)
    freed = anyio.Event()

    def never(raw: Any) -> Any:
        anyio.from_thread.run(freed.wait)
        return {"response": {"uid": "", "allowed": True}}

    status, body = await posted(door.Door(answer=never), b"{}")
    freed.set()

    assert status == 503
    assert "took longer" in body["message"]


# --- keys ----------------------------------------------------------------------------------------------------------


def trusted(keys: Keys) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=keys.bundle)
    return len(context.get_ca_certs())


def test_keys_are_kept_until_two_thirds_of_their_time() -> None:
    keys = fresh(None, NAMES, NOW, LIVES)
    due = next_due(keys)

    assert due == due_at(keys.server.cert)
    assert timedelta(days=19) < due - NOW < timedelta(days=21)
    assert fresh(keys, NAMES, due - timedelta(seconds=1), LIVES) == keys
    renewed = fresh(keys, NAMES, due, LIVES)
    assert renewed.server != keys.server
    assert renewed.authority == keys.authority


def test_an_old_authority_is_trusted_to_its_end_beside_the_new_one() -> None:
    first = fresh(None, NAMES, NOW, LIVES)
    second = fresh(first, NAMES, due_at(first.authority.cert), LIVES)
    later = fresh(second, NAMES, NOW + timedelta(days=301), LIVES)

    assert second.authority != first.authority
    assert (trusted(first), trusted(second), trusted(later)) == (1, 2, 1)


def test_other_names_and_keys_that_cannot_be_read_are_reasons_for_new_ones() -> None:
    keys = fresh(None, NAMES, NOW, LIVES)
    broken = Keys(keys.authority, type(keys.server)(keys.server.cert, "no key"))

    assert fresh(keys, ("other.svc",), NOW, LIVES).server != keys.server
    assert fresh(broken, NAMES, NOW, LIVES).authority != keys.authority


@given(days=st.lists(st.integers(min_value=0, max_value=400), min_size=1, max_size=6))
def test_whenever_one_looks_what_is_shown_is_trusted_and_still_good(days: list[int]) -> None:
    now, keys = NOW, None
    for step in days:
        now += timedelta(days=step)
        keys = fresh(keys, NAMES, now, LIVES)
        assert next_due(keys) > now
        assert keys.authority.cert in keys.bundle


def test_no_message_and_no_log_shows_a_key() -> None:
    assert "PRIVATE KEY" not in repr(fresh(None, NAMES, NOW, LIVES))


def test_a_bundle_is_written_only_where_it_is_another_one_and_only_over_what_was_seen() -> None:
    found: dict[str, Any] = {
        "metadata": {"resourceVersion": "7"},
        "webhooks": [{"clientConfig": {"caBundle": "eA=="}}, {"clientConfig": {}}],
    }

    changes = changes_of(found, "x")

    assert changes[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert [one["path"] for one in changes[1:]] == ["/webhooks/1/clientConfig/caBundle"]
    assert changes_of({**found, "webhooks": found["webhooks"][:1]}, "x") == []
