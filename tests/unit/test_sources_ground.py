"""What all kinds of source stand on: shared fields and their checks, bodies, filters, limits, states, tries."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsources import trying
from eventsources.bodies import body_of
from eventsources.fields import (
    SASL,
    TLS,
    BasicAuth,
    Filter,
    Limits,
    check_basic,
    check_duration,
    check_sasl,
    check_tls,
    not_built,
    only_ours,
)
from eventsources.filters import check_expression, filter_of
from eventsources.host.limits import Bounds
from eventsources.port import MAX_ID, SourceContext
from eventsources.status import Status
from retrain.clock import SystemClock
from retrain.errors import ConfigError, NotFound, Permanent, RetrainError, Transient
from retrain.events import Event
from retrain.manifests.argo import KeySelector

SECRET = {"name": "s", "key": "k"}


def codes(problems: Any) -> list[tuple[str, str]]:
    return [(".".join(map(str, one.path)), one.code) for one in problems]


# --- fields ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tls", "found"),
    [
        ({"enabled": True}, []),
        ({"insecureSkipVerify": True}, []),
        ({"caCertSecret": SECRET}, []),
        ({"clientCertSecret": SECRET, "clientKeySecret": SECRET}, []),
        ({}, [("tls", "missing-field")]),
        ({"clientCertSecret": SECRET}, [("tls.clientKeySecret", "missing-field")]),
        ({"caCertSecret": {"name": "s"}}, [("tls.caCertSecret", "missing-field")]),
        ({"enabled": True, "serverName": "x"}, [("tls.serverName", "unknown-field")]),
    ],
)
def test_tls_says_all_that_it_needs(tls: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert codes(check_tls(("tls",), TLS.model_validate(tls), ours=False)) == found


def test_users_come_with_passwords_and_mechanisms_are_known() -> None:
    sasl = SASL.model_validate({"mechanism": "GSSAPI", "userSecret": SECRET, "passwordSecret": SECRET})
    odd = SASL.model_validate({"mechanism": "MAGIC", "userSecret": SECRET, "passwordSecret": SECRET})

    assert codes(check_basic(("a",), BasicAuth.model_validate({"username": SECRET}))) == [
        ("a.password", "missing-field")
    ]
    assert codes(check_sasl(("s",), sasl, ("PLAIN",))) == [("s.mechanism", "unsupported-field")]
    assert codes(check_sasl(("s",), odd, ("PLAIN",))) == [("s.mechanism", "wrong-value")]


def test_durations_have_bounds_and_fields_have_versions() -> None:
    tls = TLS.model_validate({"enabled": True, "serverName": "x"})

    assert codes(check_duration(("d",), "1ms", least=1.0)) == [("d", "wrong-value")]
    assert codes(check_duration(("d",), "2h", most=60)) == [("d", "wrong-value")]
    assert codes(check_duration(("d",), "soon")) == [("d", "wrong-value")]
    assert codes(only_ours(("t",), tls, ("serverName",), ours=True)) == []
    assert codes(not_built(("t",), tls, (("serverName", "do without"), ("caCertSecret", "x")))) == [
        ("t.serverName", "unsupported-field")
    ]


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "json_body", "ours", "data"),
    [
        (b'{"a":1}', True, False, {"body": {"a": 1}}),
        (b'{"a":1}', None, False, {"body": "eyJhIjoxfQ=="}),
        (b'{"a":1}', None, True, {"body": {"a": 1}}),
        (b'{"a":1}', False, True, {"body": '{"a":1}'}),
        (b"plain", None, True, {"body": "plain"}),
        (b"\xff\x00", None, True, {"body": "/wA=", "bodyEncoding": "base64"}),
        (b"", None, True, {"body": ""}),
        (b"", None, False, {"body": ""}),
    ],
)
def test_a_body_is_as_upstream_has_it_or_as_it_reads_best(
    raw: bytes, json_body: bool | None, ours: bool, data: dict[str, Any]
) -> None:
    assert body_of(raw, json_body, ours=ours) == data


@pytest.mark.parametrize("ours", [True, False])
def test_a_body_that_must_be_json_and_is_not_cannot_be_taken(ours: bool) -> None:
    with pytest.raises(Permanent, match="jsonBody is true, and the body is not JSON"):
        body_of(b"{", True, ours=ours)


@given(st.binary(max_size=64))
def test_no_bytes_are_lost(raw: bytes) -> None:
    found = body_of(raw, False, ours=True)
    assert raw == (
        found["body"].encode() if "bodyEncoding" not in found else __import__("base64").b64decode(found["body"])
    )
    assert body_of(raw, None, ours=False) == {"body": b64encode(raw).decode()}


# --- filters ---------------------------------------------------------------------------------------------------------


def wants(expression: str) -> Callable[[Any], bool]:
    made = filter_of(SimpleNamespace(filter=Filter(expression=expression)))
    assert made is not None
    return lambda data: made(Event(id="1", source="s", type="t", data=data))


def test_an_expression_reads_the_members_of_the_data() -> None:
    passes = wants("body.size > 10 and content_type matches 'csv$'")

    assert passes({"body": {"size": 11}, "content-type": "text/csv"})
    assert not passes({"body": {"size": 9}, "content-type": "text/csv"})


@pytest.mark.parametrize(("expression", "words"), [("body.a > 1", "cannot be evaluated"), ("1 + 1", "int, not true")])
def test_an_expression_that_gives_no_answer_is_an_error(expression: str, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        wants(expression)({"body": {"a": "x"}})


def test_an_expression_is_checked_before_anything_runs() -> None:
    spec = SimpleNamespace(filter=Filter(expression="body.a >"))

    assert codes(check_expression(("x",), spec, ours=True)) == [("x.filter.expression", "wrong-value")]
    assert codes(check_expression(("x",), SimpleNamespace(filter=Filter(expression="true")), ours=False)) == [
        ("x.filter.expression", "unknown-field")
    ]
    assert filter_of(SimpleNamespace(filter=None)) is None


# --- limits ----------------------------------------------------------------------------------------------------------


def event(size: int = 0) -> Event:
    return Event(id="1", source="s", type="t", data={"x": "y" * size})


def test_an_event_that_is_too_big_can_never_be_taken() -> None:
    bounds = Bounds(Limits.model_validate({"maxBytes": 100}))

    bounds.check_size(event(50))
    with pytest.raises(Permanent, match=r"limits\.maxBytes is 100"):
        bounds.check_size(event(100))


async def test_a_door_refuses_what_comes_too_fast_and_takes_it_later() -> None:
    bounds = Bounds(Limits.model_validate({"ratePerSecond": 5}))

    for _ in range(5):
        async with bounds.admitted():
            pass
    with pytest.raises(Transient, match="ratePerSecond is 5"):
        async with bounds.admitted():
            pass
    await anyio.sleep(0.5)
    async with bounds.admitted():
        pass


async def test_a_door_has_only_so_many_in_hand() -> None:
    bounds = Bounds(Limits.model_validate({"inFlight": 1}))

    async with bounds.admitted():
        with pytest.raises(Transient, match="inFlight is 1"):
            async with bounds.admitted():
                pass
    async with bounds.admitted():
        pass


async def test_what_fetches_is_slowed_down_to_its_rate() -> None:
    bounds = Bounds(Limits.model_validate({"ratePerSecond": 200}))
    began = anyio.current_time()

    for _ in range(4):
        await bounds.pace(100)  # the first 200 are there at once

    assert anyio.current_time() - began > 0.9  # a slow machine only takes longer


# --- states ----------------------------------------------------------------------------------------------------------


def status() -> Status:
    return Status("kafka", "es/thing", SystemClock())


def test_a_secret_that_was_read_is_in_no_text() -> None:
    mine = status()
    mine.conceal("hunter22")
    mine.conceal("x")

    mine.failed("login with hunter22 failed, exactly")
    mine.waiting("hunter22 is wrong")

    assert "hunter22" not in repr(mine.state())
    assert mine.state().last_error == "login with *** failed, exactly"


def test_a_state_tells_since_when_how_fast_and_what_waits() -> None:
    mine = status()
    mine.listening()
    since = mine.state().since
    mine.received(SystemClock().now(), 120)
    mine.lag(7)
    mine.listening("a note")
    shown = mine.state()

    assert (shown.since, shown.rate, shown.lag, shown.note) == (since, 2.0, 7, "a note")
    assert len(status_text(mine, "x" * 10_000)) <= 500


def status_text(mine: Status, text: str) -> str:
    mine.waiting(text)
    return mine.state().waiting_for or ""


# --- contexts --------------------------------------------------------------------------------------------------------


class Values:
    def secret(self, name: str, key: str) -> str:
        if (name, key) != ("s", "k"):
            raise NotFound("no such secret")
        return "hunter22\n"

    def config(self, name: str, key: str) -> str:
        return "plain\n"


def context(*, alone: bool = True, secrets: Any = None, **more: Any) -> SourceContext:
    nothing: Any = None
    return SourceContext(
        source="es",
        name="thing",
        type="kafka",
        ours=True,
        alone=alone,
        emit=nothing,
        deliver=nothing,
        bury=nothing,
        known=nothing,
        checkpoints=nothing,
        secrets=secrets or Values(),
        clock=SystemClock(),
        status=status(),
        ports=nothing,
        project=nothing,
        **more,
    )


def test_an_event_is_made_of_its_thing_and_the_entry() -> None:
    made = context(metadata={"team": "vision"}).event("t/0/7", {"body": 1}, extensions={"x": "y"})

    assert (made.id, made.source, made.subject, made.type) == ("t/0/7", "es", "thing", "kafka")
    assert made.data == {"body": 1, "metadata": {"team": "vision"}}
    assert context(alone=False).event("t/0/7", {}).id == "thing/t/0/7"
    assert context().event("1", {}).data == {}


def test_ids_are_printable_and_short_and_differ_where_things_do() -> None:
    here = context()

    assert here.id_of("a%0Ab") == "a%0Ab"
    assert here.id_of("a\nb").isprintable()
    assert len({here.id_of(one) for one in ("a\nb", "a%0Ab", "a\n%0A", "a\n\n")}) == 4
    long, longer = here.id_of("x" * 2000), here.id_of("x" * 2001)
    assert long != longer
    assert len(long) <= MAX_ID


def test_secrets_are_read_without_a_newline_and_concealed() -> None:
    here = context()

    assert here.read(KeySelector(name="s", key="k")) == "hunter22"
    assert here.read(None) == ""
    assert here.read(KeySelector(name="none", key="k", optional=True)) == ""
    assert here.read_config(KeySelector(name="c", key="k")) == "plain"
    assert here.status.clean("hunter22 plain") == "*** plain"
    with pytest.raises(NotFound):
        here.read(KeySelector(name="none", key="k"))


# --- trying ----------------------------------------------------------------------------------------------------------


async def tried(errors: list[Exception | None]) -> SourceContext:
    """keep_trying over attempts that end like this, until none is left."""
    here, left = context(), list(errors)
    done = anyio.Event()

    async def attempt() -> None:
        if not left:
            done.set()
            await anyio.sleep_forever()
        if (error := left.pop(0)) is not None:
            raise error
        here.status.listening()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(trying.keep_trying, here, attempt, first_s=0.001))
        with anyio.fail_after(10):
            await done.wait()
        tasks.cancel_scope.cancel()
    return here


async def test_what_is_lacking_is_said_and_tried_again() -> None:
    group = ExceptionGroup("tasks", [Transient("both"), ConfigError("wrong")])

    here = await tried([NotFound("no secret"), group, None, Transient("away")])

    shown = here.status.state()
    assert (shown.state, shown.waiting_for, shown.errors) == ("waiting", "away", 4)


async def test_a_crash_is_not_a_reason_to_wait() -> None:
    async def attempt() -> None:
        raise ExceptionGroup("tasks", [Transient("away"), ValueError("a bug")])

    with pytest.raises(ExceptionGroup):
        await trying.keep_trying(context(), attempt)


def test_an_error_of_a_task_group_is_one_of_ours_only_if_all_are() -> None:
    assert isinstance(trying.expected_error(ExceptionGroup("", [Transient("a")])), RetrainError)
    assert trying.expected_error(ExceptionGroup("", [Transient("a"), KeyError("b")])) is None
    assert trying.expected_error(KeyError("b")) is None


def test_times_in_events_are_those_of_the_thing() -> None:
    when = datetime(2026, 11, 20, tzinfo=UTC)

    assert context().event("1", {}, time=when).time == when
