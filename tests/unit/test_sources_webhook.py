"""What becomes of a webhook request, without a network."""

from __future__ import annotations

from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsources.http.door import Endpoint, WebhookApp
from eventsources.http.paths import BadTemplate, Template
from eventsources.http.request import body_of, canonical, event_id, header_of
from retrain.clock import FakeClock
from retrain.errors import BusError, ConfigError, NotFound, Permanent
from retrain.events import Event
from retrain.serving import LINGER

JSON = {"content-type": "application/json"}


class Intake:
    """An application with one endpoint, and what came through it."""

    def __init__(self, **more: Any) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None
        self.app = WebhookApp()
        self.endpoint = Endpoint(
            owner="es/thing",
            source="es",
            subject="thing",
            clock=FakeClock(),
            emit=self.emit,
            accepted=lambda: None,
            failed=lambda: None,
            **{"method": "POST", "path": "/in", "limit": 1000, **more},
        )
        self.app.add(self.endpoint)

    async def emit(self, event: Event) -> None:
        if self.error is not None:
            raise self.error
        self.events.append(event)

    async def ask(
        self,
        body: bytes | list[bytes] = b"{}",
        headers: dict[str, str] | None = None,
        *,
        path: str = "/in",
        method: str = "POST",
        query: bytes = b"",
        gone: bool = False,
    ) -> tuple[int, bytes, dict[str, str]]:
        """One request; a list is a body in parts. Status 0: there was no answer."""
        parts = [body] if isinstance(body, bytes) else body
        messages = [
            {"type": "http.request", "body": part, "more_body": gone or index < len(parts) - 1}
            for index, part in enumerate(parts)
        ]
        self.read = 0

        async def receive() -> dict[str, Any]:
            self.read += 1
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        raw = [
            (name.lower().encode(), value.encode()) for name, value in (JSON if headers is None else headers).items()
        ]
        scope = {"type": "http", "path": path, "method": method, "headers": raw, "query_string": query}
        await self.app(scope, receive, send)
        if not sent:
            return 0, b"", {}
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], sent[1]["body"], answered


@pytest.fixture
async def intake() -> Intake:
    return Intake()


async def test_json_becomes_an_event_in_upstreams_shape() -> None:
    intake = Intake(metadata={"team": "a"})
    headers = {**JSON, "x-github-event": "push", "host": "h", "authorization": "Bearer secret"}

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
    intake = Intake(plain=True)

    assert (await intake.ask())[:2] == (200, b"success")


async def test_the_query_of_a_get_is_the_body() -> None:
    intake = Intake(method="GET")

    status, _, _ = await intake.ask(method="GET", query=b"a=1&a=2&b=", headers={})

    assert status == 202
    assert intake.events[0].data["body"] == {"a": ["1", "2"], "b": [""]}


@pytest.mark.parametrize(
    "type_", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8"]
)
async def test_a_form_is_the_body(intake: Intake, type_: str) -> None:
    await intake.ask(b"a=1&b=%C3%BC", {"content-type": type_})

    assert intake.events[0].data["body"] == {"a": ["1"], "b": ["ü"]}


@pytest.mark.parametrize("body", [b"", b"<xml/>", b"{", b"NaN", b'{"a": Infinity}', b"\xff", b"[" * 5000 + b"]" * 5000])
async def test_what_is_not_json_is_400_and_no_event(body: bytes) -> None:
    intake = Intake(limit=20_000)

    status, answer, _ = await intake.ask(body)

    assert status == 400
    assert "body" in orjson.loads(answer)["error"]
    assert intake.events == []


async def test_too_much_is_413_and_the_sender_gets_to_hear_it(intake: Intake) -> None:
    said = await intake.ask([b"x" * 10] * 1000, {**JSON, "content-length": "10000"})
    said_read = intake.read
    unsaid = await intake.ask([b"x" * 100] * 1000)

    assert (said[0], said_read) == (413, 1000)  # read on and thrown away: who still sends would see a broken pipe
    assert (unsaid[0], intake.read) == (413, 1000)
    assert said[2]["connection"] == "close"
    assert intake.events == []


async def test_far_too_much_is_413_and_no_more_is_read_than_courtesy_asks(intake: Intake) -> None:
    said = await intake.ask([b"x"], {**JSON, "content-length": str(LINGER + 1)})
    said_read = intake.read
    unsaid = await intake.ask([b"x" * (1 << 20)] * 100)

    assert (said[0], said_read) == (413, 0)
    assert unsaid[0] == 413
    assert intake.read <= LINGER // (1 << 20) + 3
    assert intake.events == []


async def test_exactly_the_limit_is_taken(intake: Intake) -> None:
    assert (await intake.ask(b'"' + b"x" * 998 + b'"'))[0] == 202


async def test_a_client_that_goes_away_leaves_nothing(intake: Intake) -> None:
    assert (await intake.ask([b'{"a"', b":1}"], gone=True))[0] == 0
    assert intake.events == []


async def test_paths_and_methods_are_told_apart(intake: Intake) -> None:
    unknown = await intake.ask(path="/other")
    wrong = await intake.ask(method="GET")
    health = await intake.ask(path="/health", method="GET")

    assert [unknown[0], wrong[0], health[0]] == [404, 405, 200]
    assert wrong[2]["allow"] == "POST"


async def test_a_second_endpoint_on_the_same_route_is_refused(intake: Intake) -> None:
    with pytest.raises(ConfigError, match="POST /in on this port is taken by es/thing"):
        intake.app.add(intake.endpoint)

    intake.app.remove(intake.endpoint)
    assert not intake.app.handles("/in")
    intake.app.add(intake.endpoint)
    assert (await intake.ask())[0] == 202


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "right"}, 401),
        ({"authorization": "Bearer right"}, 202),
    ],
)
async def test_a_secret_is_asked_for(headers: dict[str, str], status: int) -> None:
    intake = Intake(token=lambda: "right")

    assert (await intake.ask(headers={**JSON, **headers}))[0] == status
    assert len(intake.events) == (status == 202)


async def test_a_secret_that_is_missing_or_empty_lets_nobody_in() -> None:
    def missing() -> str:
        raise NotFound("no secret")

    for token in (missing, lambda: ""):
        intake = Intake(token=token)
        assert (await intake.ask(headers={**JSON, "authorization": "Bearer "}))[0] == 503
        assert intake.events == []


@pytest.mark.parametrize(("error", "status"), [(BusError("away"), 503), (Permanent("too big"), 422)])
async def test_what_the_bus_does_not_take_is_not_acknowledged(intake: Intake, error: Exception, status: int) -> None:
    intake.error = error

    answer = await intake.ask()

    assert answer[0] == status
    assert ("retry-after" in answer[2]) == (status == 503)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ce-id": "1"}, "1"),
        ({"ce-id": "1", "ce-source": "/a"}, "/a#1"),
        ({"x-github-delivery": "g"}, "g"),
        ({"x-gitlab-event-uuid": "l"}, "l"),
        ({"idempotency-key": "i"}, "i"),
        ({"ce-id": "1", "idempotency-key": "i"}, "1"),
    ],
)
async def test_the_id_is_the_deliverys(intake: Intake, headers: dict[str, str], expected: str) -> None:
    await intake.ask(headers={**JSON, **headers})

    assert intake.events[0].id == expected


def test_ids_stand_behind_their_scope_and_odd_ones_are_none() -> None:
    assert event_id({"Idempotency-Key": ["i"]}, "thing/") == "thing/i"
    assert len(event_id({"Idempotency-Key": ["x" * 5000]}, "")) == 32
    assert event_id({"Idempotency-Key": ["a\x00b"]}, "") != "a\x00b"
    assert event_id({}, "") != event_id({}, "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [(b"x-github-event", "X-Github-Event"), (b"CONTENT-type", "Content-Type"), (b"a b", "a b"), (b"etag", "Etag")],
)
def test_header_names_are_gos(name: bytes, expected: str) -> None:
    assert canonical(name) == expected


@given(st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9))))
def test_any_headers_become_json(raw: list[tuple[bytes, bytes]]) -> None:
    orjson.dumps(header_of(raw))


@given(st.text(max_size=40), st.binary(max_size=200))
def test_any_body_is_json_or_refused(content_type: str, body: bytes) -> None:
    try:
        orjson.dumps(body_of(content_type, body))
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
    intake = Intake(path="/repos/{name}/push")

    assert (await intake.ask(path="/repos/x/push"))[0] == 202
    assert (await intake.ask(path="/repos/x/y/push"))[0] == 404


async def test_requests_do_not_wait_for_each_other() -> None:
    intake = Intake()
    both = anyio.Event()
    waiting: list[Event] = []

    async def emit(event: Event) -> None:
        waiting.append(event)
        if len(waiting) == 2:
            both.set()
        await both.wait()

    object.__setattr__(intake.endpoint, "emit", emit)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(intake.ask)
            tasks.start_soon(intake.ask)

    assert len(waiting) == 2
