"""Pure parts of the page's views: traces as a line, rights that are shown, what health shows of settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from deploy.environments import Approvals, Waivers
from retrain.app.access.access_settings import AccessGroup, User
from retrain.app.keeping.ages import told
from retrain.app.keeping.health import runner, status_of
from retrain.app.keeping.settings_shown import SET, changed
from retrain.app.parts import PartState
from retrain.app.promotions.inbox import why
from retrain.app.promotions.standing import can, waivable
from retrain.app.settings import Settings
from retrain.errors import ConfigError
from retrain.identity import Principal
from retrain.web.page.chains import columns
from retrain.web.page.deciding import chosen
from retrain.web.page.forms import Fields
from retrain.web.page.letters import options
from retrain.web.page.words import in_bytes

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def trace(*edges: tuple[str, str]) -> dict[str, Any]:
    """Things whose first letter is their kind."""
    kinds = {"o": "object", "e": "event", "f": "firing", "r": "run", "p": "promotion", "c": "commit"}
    names = dict.fromkeys(name for edge in edges for name in edge)
    nodes = [{"kind": kinds[name[0]], "id": name, "time": None, "summary": name} for name in names]
    return {"nodes": nodes, "edges": [list(edge) for edge in edges]}


WAY = trace(
    ("o1", "e1"), ("e1", "f1"), ("f1", "r1"), ("f1", "r2"), ("r1", "p1"), ("p1", "c1"), ("r2", "p2"), ("p2", "c2")
)


def test_one_line_leads_from_the_object_to_the_live_model() -> None:
    found = [card for step in columns(WAY, "e1", {"c2": "orders in production"}) for card in step.cards]

    assert [card.id for card in found if card.main] == ["o1", "e1", "f1", "r2", "p2", "c2"]
    assert {card.id: card.live for card in found if card.live} == {"c2": "orders in production"}


def test_the_line_goes_through_what_was_asked_for_though_another_is_live() -> None:
    found = columns(WAY, "r1", {"c2": "orders in production"})

    assert [step.cards[0].id for step in found] == ["o1", "e1", "f1", "r1", "p1", "c1"]
    assert [card.id for card in found[3].cards if not card.main] == ["r2"]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1), st.integers(0, 12))
def test_every_trace_has_a_line_even_one_with_a_way_back(pairs: list[tuple[int, int]], asked: int) -> None:
    found = columns(trace(*((f"e{a}", f"r{b}") for a, b in pairs)), f"e{asked}")

    cards = [card for step in found for card in step.cards]
    assert any(card.main for card in cards)


def test_parts_are_as_they_are_since_they_became_so() -> None:
    first = told({}, [PartState("bus", ready=False)], NOW)
    later = told(first, [PartState("bus", ready=False), PartState("x", ready=True)], NOW + timedelta(minutes=1))
    after = told(later, [PartState("bus", ready=True)], NOW + timedelta(minutes=2))

    assert later["bus"] == (False, NOW)
    assert after == {"bus": (True, NOW + timedelta(minutes=2))}


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "ready"),
        ([PartState("x", ready=False)], "degraded"),
        ([PartState("x", ready=False, vital=True)], "waiting"),
    ],
)
def test_the_platform_in_one_word(states: list[PartState], said: str) -> None:
    assert status_of(states) == said


def test_what_steps_have_taken() -> None:
    assert runner({}) is None
    shown = runner({"runs": (1, 64), "cpu": (2, 4)})
    assert shown == {"slots": [{"name": "cpu", "used": 2, "of": 4}], "runs": 1, "runsOf": 64}


class Inner(BaseModel):
    url: str = "http://a"
    password: SecretStr | None = None
    access_key: str = ""
    deep: dict[str, str] = {}


class Outer(BaseModel):
    inner: Inner = Inner()
    port: int = 7300


@given(st.text(min_size=1).filter(lambda text: "@" not in text))
def test_no_secret_is_among_the_settings_that_are_shown(secret: str) -> None:
    given_ = Inner(url=f"http://user:{secret}@h/x?t={secret}", access_key=secret)
    found = changed(Outer(inner=given_.model_copy(update={"password": SecretStr(secret), "deep": {"a": secret}})))

    said = {one["name"]: one["value"] for one in found}
    assert said["inner.password"] == said["inner.access_key"] == said["inner.deep"] == SET
    assert said["inner.url"] == "http://h/x"


def test_of_people_only_the_names_are_shown() -> None:
    settings = Settings(access=AccessGroup(users={"ada": User(token=SecretStr("0123456789abcdef"))}))

    assert changed(settings) == [{"name": "access.users", "value": "ada"}]
    assert changed(Settings()) == []


def test_who_can_still_approve_has_a_role_and_no_part_in_it() -> None:
    known = {"ada": ("approver",), "ben": ("approver",), "cyd": ("viewer",), "dan": ("admin",)}

    assert can(Approvals(), known, frozenset({"ben"}), ["DAN "]) == ["ada"]


@pytest.mark.parametrize(
    ("who", "said", "expected"),
    [
        (Principal("ada", frozenset({"approver"}), verified=True), [], None),
        (Principal("ada", frozenset({"approver"}), verified=True), ["Ada"], "you have approved it"),
        (Principal("bot", frozenset({"approver"}), verified=True, kind="service"), [], "only a person"),
        (Principal("vic", frozenset({"viewer"}), verified=True), [], "vic has the roles viewer"),
    ],
)
def test_why_somebody_cannot_approve(who: Principal, said: list[str], expected: str | None) -> None:
    found = why(Approvals(), who, frozenset(), said)

    assert found is expected if expected is None else found is not None and expected in found


def test_only_gates_that_said_no_and_may_be_waived_are_offered() -> None:
    gates = [
        {"name": "good", "verdict": "fail"},
        {"name": "fair", "verdict": "fail", "advisory": True},
        {"name": "fast", "verdict": "error"},
        {"name": "fresh", "verdict": "fail"},
    ]

    assert waivable(None, gates) == []
    assert waivable(Waivers(), gates) == ["good", "fresh"]
    assert waivable(Waivers(gates=("fresh",)), gates) == ["fresh"]


def test_a_form_names_the_gates_that_are_ticked() -> None:
    assert chosen(Fields({"gate:a:b": "on", "reason": "x", "gate:": "on"})) == ["a:b", ""]
    with pytest.raises(ConfigError, match="choose the gates"):
        chosen(Fields({"reason": "x"}))


def test_a_filter_of_letters_is_a_commands_options() -> None:
    words: dict[str, str | None] = {"kind": "firing", "origin": "s/t", "text": None, "since": "", "until": "2h"}

    assert options(words) == ["--kind", "firing", "--from", "s/t", "--until", "2h"]


@pytest.mark.parametrize(("size", "said"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 40, "3.0 TiB")])
def test_bytes_are_said_in_a_unit_that_tells_something(size: int, said: str) -> None:
    assert in_bytes(size) == said
