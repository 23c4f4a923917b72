"""What becomes of a webhook request, without a network."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsources.http.paths import BadTemplate, Template
from eventsources.http.request import body_of, canonical, delivery_of, header_of
from retrain.errors import BusError, ConfigError, Permanent, Transient
from retrain.events import Event
from retrain.serving import LINGER
from tests.unit.http_world import ARGO, JSON, OURS, Intake, opened


async def test_json_becomes_an_event_in_upstreams_shape() -> None:
    headers = {**JSON, "x-github-event": "push", "host": "h", "authorization": "Bearer secret"}

    async with opened("webhook", metadata={"team": "a"}) as intake:
        status, answer, _ = await intake.ask(b'{"a": [1, null]}', headers)

    (event,) = intake.events
    assert (status, orjson.loads(answer)) == (202, {"id": event.id})
    assert (event.source, event.subject, event.type) == ("es", "thing", "webhook")
    assert event.data == {
        "header": {
            "Content-Type": ["application/json"],
            "X-Github-Event": ["push"],
            "Authorization": ["*** Masked Auth Secret ***"],
        },
        "body": {"a": [1, None]},
        "metadata": {"team": "a"},
    }


async def test_an_argo_endpoint_answers_as_upstream_does() -> None:
    async with opened("webhook", ARGO) as intake:
        assert (await intake.ask())[:2] == (200, b"success")


async def test_the_query_of_a_get_is_the_body() -> None:
    async with opened("webhook", method="GET") as intake:
        status, _, _ = await intake.ask(method="GET", query=b"a=1&a=2&b=", headers={})

    assert status == 202
    assert intake.events[0].data["body"] == {"a": ["1", "2"], "b": [""]}


async def test_put_is_taken_where_it_is_asked_for() -> None:
    async with opened("webhook", method="PUT") as intake:
        assert (await intake.ask(b'{"a": 1}', method="PUT"))[0] == 202
        assert (await intake.ask(method="POST"))[2]["allow"] == "PUT"


@pytest.mark.parametrize(
    "type_", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"]
)
async def test_a_form_is_the_body(type_: str) -> None:
    async with opened("webhook") as intake:
        await intake.ask(b"a=1&b=%C3%BC", {"content-type": type_})

    assert intake.events[0].data["body"] == {"a": ["1"], "b": ["ü"]}


@pytest.mark.parametrize("version", [OURS, ARGO])
@pytest.mark.parametrize("body", [b"", b"<xml/>", b"{", b"NaN", b'{"a": Infinity}', b"\xff", b"[" * 5000 + b"]" * 5000])
async def test_what_should_be_json_and_is_not_is_400_and_no_event(body: bytes, version: str) -> None:
    async with opened("webhook", version, maxPayloadSize=20_000) as intake:
        status, answer, _ = await intake.ask(body)

    assert status == 400
    assert "body" in orjson.loads(answer)["error"]
    assert intake.events == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a": 1}', {"body": {"a": 1}}),
        (b"<xml/>", {"body": "<xml/>"}),
        (b"\xff\x00", {"body": "/wA=", "bodyEncoding": "base64"}),
        (b"", {"body": None}),
    ],
)
async def test_ours_takes_any_bytes_that_do_not_say_that_they_are_json(body: bytes, expected: Any) -> None:
    async with opened("webhook") as intake:
        status, _, _ = await intake.ask(body, {"content-type": "application/octet-stream"})

    assert status == 202
    assert {name: value for name, value in intake.events[0].data.items() if name != "header"} == expected


@pytest.mark.parametrize("body", [b"<xml/>", b"", b"\xff"])
async def test_argo_takes_json_and_forms_only(body: bytes) -> None:
    async with opened("webhook", ARGO) as intake:
        assert (await intake.ask(body, {"content-type": "text/xml"}))[0] == 400


async def test_too_much_is_413_and_the_sender_gets_to_hear_it() -> None:
    async with opened("webhook", maxPayloadSize=1000) as intake:
        said = await intake.ask([b"x" * 10] * 1000, {**JSON, "content-length": "10000"})
        said_read = intake.read
        unsaid = await intake.ask([b"x" * 100] * 1000)

        assert (said[0], said_read) == (413, 1000)  # read on and thrown away: who still sends would see a broken pipe
        assert (unsaid[0], intake.read) == (413, 1000)
        assert said[2]["connection"] == "close"
        assert intake.events == []


async def test_far_too_much_is_413_and_no_more_is_read_than_courtesy_asks() -> None:
    async with opened("webhook") as intake:
        said = await intake.ask([b"x"], {**JSON, "content-length": str(LINGER + 1)})
        said_read = intake.read
        unsaid = await intake.ask([b"x" * (1 << 20)] * 100)

        assert (said[0], said_read) == (413, 0)
        assert unsaid[0] == 413
        assert intake.read <= LINGER // (1 << 20) + 3
        assert intake.events == []


async def test_exactly_the_limit_is_taken() -> None:
    async with opened("webhook", maxPayloadSize=1000) as intake:
        assert (await intake.ask(b'"' + b"x" * 998 + b'"'))[0] == 202


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", lambda body: gzip.compress(body[:3]) + gzip.compress(body[3:])),
        ("deflate", zlib.compress),
        ("DEFLATE", lambda body: zlib.compress(body)[2:-4]),
    ],
)
async def test_a_compressed_body_is_unpacked(encoding: str, pack: Any) -> None:
    async with opened("webhook") as intake:
        assert (await intake.ask(pack(b'{"a": 1}'), {**JSON, "content-encoding": encoding}))[0] == 202

    assert intake.events[0].data["body"] == {"a": 1}


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(b'"' + b"x" * 2_000_000 + b'"'), 413),
        ("gzip", gzip.compress(b"x" * 600) * 2, 413),
        ("gzip", gzip.compress(b"{}")[:-4], 400),
        ("gzip", b"{}", 400),
        ("deflate", zlib.compress(b"{}") + b"more", 400),
        ("br", b"{}", 415),
        ("gzip, gzip", b"{}", 415),
    ],
    ids=["a bomb", "two members", "cut off", "not packed", "more behind it", "unknown", "packed twice"],
)
async def test_a_compressed_body_is_bounded_after_it_is_unpacked(encoding: str, body: bytes, status: int) -> None:
    async with opened("webhook", maxPayloadSize=1000 if status != 413 or len(body) < 500 else 10_000) as intake:
        assert (await intake.ask(body, {**JSON, "content-encoding": encoding}))[0] == status
        assert intake.events == []


async def test_two_content_encodings_are_refused() -> None:
    headers = [("content-type", "application/json"), ("content-encoding", "gzip"), ("content-encoding", "identity")]
    async with opened("webhook") as intake:
        assert (await intake.ask(b"{}", headers))[0] == 415


async def test_a_client_that_goes_away_leaves_nothing() -> None:
    async with opened("webhook") as intake:
        assert (await intake.ask([b'{"a"', b":1}"], gone=True))[0] == 0
        assert intake.events == []


async def test_paths_and_methods_are_told_apart() -> None:
    async with opened("webhook") as intake:
        unknown = await intake.ask(path="/other")
        wrong = await intake.ask(method="GET")
        health = await intake.ask(path="/health", method="GET")

    assert [unknown[0], wrong[0], health[0]] == [404, 405, 200]
    assert wrong[2]["allow"] == "POST"


async def test_two_methods_of_one_path_go_to_two_endpoints() -> None:
    async with opened("webhook") as first:
        second = Intake("webhook", endpoint="/in", method="PUT")
        second.context.ports.port.app = first.app  # type: ignore[attr-defined]
        async with second.open():
            await first.ask()
            await first.ask(method="PUT")

    assert [len(first.events), len(second.events)] == [1, 1]


async def test_an_endpoint_that_is_taken_waits_and_says_for_whom() -> None:
    async with opened("webhook") as first:
        second = Intake("webhook", endpoint="/in")
        second.context.ports.port.app = first.app  # type: ignore[attr-defined]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: second.source.run(task_status=anyio.TASK_STATUS_IGNORED))
            with anyio.fail_after(10):
                await second.status.settled.wait()
            tasks.cancel_scope.cancel()

    assert second.status.state().waiting_for == "POST /in on this port is taken by es/thing"
    assert not first.app.handles("/in")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        ([("authorization", "Bearer wrong")], 401),
        ([("authorization", "right")], 401),
        ([("authorization", "Bearer right"), ("authorization", "Bearer right")], 401),
        ([("authorization", "Bearer right")], 202),
    ],
)
async def test_a_secret_is_asked_for(headers: list[tuple[str, str]], status: int) -> None:
    async with opened("webhook", secrets={"k": "right\n"}, authSecret={"name": "s", "key": "k"}) as intake:
        assert (await intake.ask(headers=[*JSON.items(), *headers]))[0] == status
        assert len(intake.events) == (status == 202)


@pytest.mark.parametrize("secrets", [{}, {"k": ""}, {"k": "\n"}])
async def test_a_secret_that_is_missing_or_empty_lets_nobody_in(secrets: dict[str, str]) -> None:
    async with opened("webhook", secrets=secrets, authSecret={"name": "s", "key": "k"}) as intake:
        assert (await intake.ask(headers={**JSON, "authorization": "Bearer "}))[0] == 503
        assert intake.events == []


@pytest.mark.parametrize(
    ("error", "status"), [(BusError("away"), 503), (Transient("too many"), 503), (Permanent("too big"), 422)]
)
async def test_what_the_bus_does_not_take_is_not_acknowledged(error: Exception, status: int) -> None:
    async with opened("webhook") as intake:
        intake.error = error

        answer = await intake.ask()

    assert answer[0] == status
    assert ("retry-after" in answer[2]) == (status == 503)
    assert intake.status.state().errors == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ce-id": "1"}, "1"),
        ({"ce-id": "1", "ce-source": "/a"}, "/a#1"),
        ({"x-github-delivery": "g"}, "g"),
        ({"idempotency-key": "i", "x-gitlab-event-uuid": "shared"}, "i"),
        ({"webhook-id": "w"}, "w"),
        ({"ce-id": "1", "idempotency-key": "i"}, "1"),
    ],
)
async def test_the_id_is_the_deliverys(headers: dict[str, str], expected: str) -> None:
    async with opened("webhook") as intake:
        await intake.ask(headers={**JSON, **headers})

    assert intake.events[0].id == expected


async def test_what_follows_from_one_event_of_gitlab_is_told_apart() -> None:
    """GitLab gives the same X-Gitlab-Event-UUID to all hooks that an event sets off."""
    headers = {**JSON, "x-gitlab-event-uuid": "same"}
    async with opened("webhook") as intake:
        for body in (b'{"a": 1}', b'{"a": 2}', b'{"a": 1}'):
            await intake.ask(body, headers)

    first, second, again = (event.id for event in intake.events)
    assert first == again != second


async def test_a_header_of_the_users_own_may_name_the_delivery() -> None:
    async with opened("webhook", deliveryHeader="X-My-ID") as intake:
        await intake.ask(headers={**JSON, "x-my-id": "7", "idempotency-key": "other"})

    assert intake.events[0].id == "7"


def test_odd_ids_are_none() -> None:
    assert delivery_of({"Idempotency-Key": ["x" * 5000]}, b"") == ""
    assert delivery_of({"Idempotency-Key": ["a\x00b"]}, b"") == ""
    assert delivery_of({}, b"") == ""


async def test_without_an_id_every_request_is_an_event() -> None:
    async with opened("webhook") as intake:
        await intake.ask()
        await intake.ask()

    assert intake.events[0].id != intake.events[1].id


@pytest.mark.parametrize("name", ["authorization", "proxy-authorization", "cookie", "x-gitlab-token"])
async def test_what_proves_who_a_client_is_does_not_reach_the_event(name: str) -> None:
    async with opened("webhook") as intake:
        await intake.ask(headers={**JSON, name: "s3cr3t-value"})

    assert b"s3cr3t-value" not in intake.events[0].to_json()


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"x-github-event", "X-Github-Event"), (b"CONTENT-type", "Content-Type"), (b"a b", "a b"), (b"etag", "Etag")],
)
def test_header_names_are_gos(name: bytes, expected: str) -> None:
    assert canonical(name) == expected


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9))))
def test_any_headers_become_json(raw: list[tuple[bytes, bytes]]) -> None:
    orjson.dumps(header_of(raw))


@given(st.text(max_size=40), st.binary(max_size=200), st.booleans())
def test_any_body_is_json_or_refused(content_type: str, body: bytes, ours: bool) -> None:
    try:
        orjson.dumps(body_of(content_type, body, ours=ours))
    except ConfigError:
        return


@pytest.mark.parametrize(
    ("text", "path", "matches"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a/{x}/c", "/a/b.b/c", True),
        ("/a/{x}", "/a/b/c", False),
        ("/a.", "/ab", False),
    ],
)
def test_templates_match_whole_parts(text: str, path: str, matches: bool) -> None:
    assert Template(text).matches(path) is matches


def test_a_template_with_more_than_names_is_refused() -> None:
    with pytest.raises(BadTemplate):
        Template("/{id:[0-9]+}")


async def test_a_variable_in_the_path_is_routed() -> None:
    async with opened("webhook", endpoint="/repos/{name}/push") as intake:
        assert (await intake.ask(path="/repos/x/push"))[0] == 202
        assert (await intake.ask(path="/repos/x/y/push"))[0] == 404


async def test_requests_do_not_wait_for_each_other() -> None:
    both = anyio.Event()
    waiting: list[Event] = []

    async def emit(event: Event) -> None:
        waiting.append(event)
        if len(waiting) == 2:
            both.set()
        await both.wait()

    intake = Intake("webhook", endpoint="/in")
    object.__setattr__(intake.context, "emit", emit)
    with anyio.fail_after(10):
        async with intake.open(), anyio.create_task_group() as tasks:
            tasks.start_soon(intake.ask)
            tasks.start_soon(intake.ask)

    assert len(waiting) == 2
