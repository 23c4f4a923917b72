"""Who may have what done, asked where it is done: whichever door the wish came through."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from retrain.app.access.emitted import by_hand
from retrain.app.access.minding import PEOPLES, Ground, minded
from retrain.app.access.spaces import Spaces
from retrain.clock import SystemClock
from retrain.errors import Forbidden
from retrain.identity import SPEAKING, Kind, Principal, nobody_known
from retrain.store import Store, audit, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncGenerator[Store]:
    async with open_store(tmp_path / "store.db") as found:
        yield found


@contextmanager
def speaking(who: Principal) -> Generator[None]:
    token = SPEAKING.set(who)
    try:
        yield
    finally:
        SPEAKING.reset(token)


def somebody(*roles: str, kind: Kind = "person", name: str = "ada") -> Principal:
    return Principal(name, frozenset(roles), verified=kind in {"person", "service"}, kind=kind)


async def answer(firing_id: str, *, reason: str, actor: str) -> Any:
    return {"firing": firing_id, "verdict": "granted", "actor": actor}


async def approve(promotion_id: str, *, by: Principal, reason: str) -> Any:
    return {"id": promotion_id, "by": by}


def ground(store: Store) -> Ground:
    return Ground(store, SystemClock(), Spaces(store))


@pytest.mark.parametrize("name", sorted(PEOPLES))
@pytest.mark.parametrize("kind", ["service", "shared"])
async def test_approvals_need_a_person(store: Store, name: str, kind: Kind) -> None:
    action = minded({name: approve if name.startswith("promotions") else answer}, ground(store))[name]
    who = somebody("admin", "approver", kind=kind)
    more = {"by": who} if name.startswith("promotions") else {"actor": "ben"}

    with speaking(who), pytest.raises(Forbidden, match="needs a person"):
        await action("x", reason="y", **more)


async def test_whoever_sits_at_a_laptop_approves_under_the_name_they_say(store: Store) -> None:
    action = minded({"promotions.approve": approve}, ground(store))["promotions.approve"]

    with speaking(nobody_known()):
        done = await action("x", by=nobody_known("ben"), reason="y")

    assert (done["by"].name, done["by"].verified) == ("ben", False)


async def test_a_name_that_is_known_stands_over_one_that_is_said(store: Store) -> None:
    action = minded({"firings.approve": answer}, ground(store))["firings.approve"]

    with speaking(somebody("approver")):
        done = await action("f-1", reason="y", actor="mallory")
    with speaking(somebody("operator")), pytest.raises(Forbidden, match="needs the role approver"):
        await action("f-1", reason="y", actor="mallory")

    (deed,) = (await store.read(audit.listing)).items
    assert done["actor"] == deed.actor == "ada"
    assert (deed.action, deed.subject, deed.reason, deed.verified) == ("firings.approve", "f-1", "y", True)


async def test_what_the_platform_does_itself_is_nobodys_deed(store: Store) -> None:
    action = minded({"firings.approve": answer}, ground(store))["firings.approve"]

    await action("f-1", reason="y", actor="platform")

    assert (await store.read(audit.listing)).items == []


@pytest.mark.parametrize(
    ("who", "noted"),
    [
        (somebody("operator"), True),
        (nobody_known("ben"), True),
        (nobody_known(), False),
        (somebody("operator", kind="service"), False),
        (somebody("operator", kind="shared"), False),
    ],
)
def test_events_that_people_send_by_hand_are_noted_and_those_of_programs_are_not(who: Principal, noted: bool) -> None:
    assert by_hand(who) is noted
