"""Random sequences of verdicts, holds, retries and clocks over two environments with canaries; the branch is a list.

What decides is the house's own: succession, barrier, canary, aftermath, desk, outcomes, over a store in memory.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from deploy import PromotionDocument, PromotionRequest, barrier, outcomes, submit, succession
from deploy.barrier import Pushing
from deploy.derive import Derived
from deploy.desk import Desk
from deploy.outcomes import Ending
from deploy.record import Live, Record
from deploy.rollout import canary
from deploy.rollout.aftermath import settle
from deploy.rollout.standing import seen
from deploy.rollout.verdict import Verified
from deploy.states import LEGAL
from retrain.errors import Refused
from retrain.identity import Principal
from retrain.store import promotions
from retrain.store.promotions import Hold, PromotionRow
from retrain.store.tables import metadata
from tests.integration.aftermath_world import Plugins
from tests.integration.promotion_world import candidate

START = datetime(2026, 11, 22, tzinfo=UTC)
BEN = Principal("ben", frozenset({"admin"}), verified=True)
ENVIRONMENTS = ("staging", "production")
WEIGHTS = [{"weight": 10, "for": "10m"}, {"weight": 50, "for": "10m"}, {"weight": 100}]


def the_document() -> PromotionDocument:
    edits = [{"file": "a.yaml", "path": "x", "value": "{{candidate.uri}}"}]
    verify = [{"name": "told", "kind": "told", "file": "/nowhere"}]
    places = [{"name": name, "edits": edits, "verify": verify, "canary": WEIGHTS} for name in ENVIRONMENTS]
    places[0] |= {"soak": "30m"}
    body = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": "digits"}}
    spec = {"repo": {"url": "/nowhere"}, "environments": places}
    return PromotionDocument.model_validate({**body, "spec": spec}, context=Plugins())


@dataclass
class Play:
    """The story. `branch`: what is live, by environment, as promotions' ids and digests, the newest last."""

    connection: Connection
    document: PromotionDocument = field(default_factory=the_document)
    now: datetime = START
    branch: dict[str, list[Live]] = field(default_factory=lambda: {name: [] for name in ENVIRONMENTS})
    past: dict[str, list[str]] = field(default_factory=dict)
    turns: int = 0
    ends: list[str] = field(default_factory=list)

    def rows(self) -> list[PromotionRow]:
        return promotions.listing(self.connection, promotions.PromotionFilter(), limit=1000).items

    def propose(self, model: str) -> None:
        self.turns += 1
        request = PromotionRequest("digits", candidate(model, run=f"r-{self.turns}"), f"f-{self.turns}")
        submit(self.connection, self.document, request, self.now)

    def look(self, *, refused: bool) -> None:
        """What the loops do with all that is due; `refused`: the server takes no push."""
        canary.advance(self.connection, [self.document], self.now)
        succession.advance(self.connection, [self.document], self.now)
        for row in promotions.claim(self.connection, "me", self.now, self.now + timedelta(hours=1), limit=10):
            self._work(row, refused=refused)
            promotions.release(self.connection, "me")

    def take_up(self) -> None:
        """What is due is taken up, and not worked on yet."""
        canary.advance(self.connection, [self.document], self.now)

    def verdict(self, outcome: str, environment: str) -> None:
        """What the verifier says of the newest commit there."""
        row = promotions.latest(self.connection, "digits", environment)
        if row is not None and row.state == "committed" and seen(row).get("outcome") == "pending":
            word = cast("Literal['passed', 'failed', 'error', 'timeout']", outcome)
            for _ in range(2):  # the same again does nothing
                settle(self.connection, self.document, row, Verified(word, "it was said"), self.now)

    def hold(self, environment: str, *, on: bool) -> None:
        desk = Desk(lambda: {"digits": self.document})
        if on:
            desk.hold(self.connection, Hold("digits", environment, "because", "ben", self.now), BEN)
        else:
            with suppress(Refused):  # a rollback is on its way
                desk.release(self.connection, self.document.at(environment), BEN, "", self.now)

    def ask(self, verb: str, which: int) -> None:
        rows = self.rows()
        if rows:
            desk = Desk(lambda: {"digits": self.document})
            with suppress(Refused):
                getattr(desk, verb)(self.connection, rows[which % len(rows)].id, BEN, "because", self.now)

    def _work(self, row: PromotionRow, *, refused: bool) -> None:
        c, fresh = self.connection, promotions.get(self.connection, row.id)
        assert fresh is not None
        if row.action == "promote" and not row.step and fresh.state != "awaiting":
            hold = promotions.holding(c, row.name, row.environment)
            if (why := "held" if hold else barrier.rejected(c, row)) is not None:
                outcomes.emit(c, "me", row, Ending("refused", why), self.now)
                return
        if fresh.state == "proposed":
            promotions.save(c, "me", row.id, self.now, state="gating")
        live = self.branch[row.environment]
        wanted = row.candidate.get("promotion") if row.action == "rollback" else row.id
        if (row.action == "rollback" or row.step) and (not live or live[-1].promotion != wanted):
            outcomes.emit(c, "me", row, Ending("refused", "something else is live"), self.now)
            return
        gone = live[-1] if row.action == "rollback" else None
        derived = Derived("commit", subject="s", rolled_back=gone)
        found = [(name, self.record(name)) for name in self.document.before(row.environment)]
        pushing = Pushing("me", row, self.document, derived, "base", f"sha-{row.id}-{row.step}", row.created, found)
        answer = barrier.ask(c, pushing, self.now)
        if isinstance(answer, Ending):
            outcomes.emit(c, "me", row, answer, self.now)
        elif answer == "go" and refused:
            outcomes.emit(c, "me", row, Ending("failed", "a hook declined"), self.now)
        elif answer == "go":
            self._land(row, derived)

    def _land(self, row: PromotionRow, derived: Derived) -> None:
        held = promotions.holding(self.connection, row.name, row.environment)
        live = self.branch[row.environment]
        if row.action == "rollback":
            assert live.pop().promotion == row.candidate["promotion"]
            assert held is not None
        else:
            assert held is None
            if not row.step:
                others = [one for one in self.rows() if one.environment == row.environment and one.id != row.id]
                assert not [one for one in others if one.state == "stepping" or seen(one).get("outcome") == "pending"]
                live.append(Live(digest=str(row.candidate["digest"]), uri="s3://x", promotion=row.id))
        looks = canary.begin(self.document, row, self.now)
        ending = Ending("committed", "", "base", f"sha-{row.id}-{row.step}", derived, looks)
        outcomes.emit(self.connection, "me", row, ending, self.now)

    def record(self, environment: str) -> Record | None:
        if not self.branch[environment]:
            return None
        *before, live = [one.model_dump() for one in self.branch[environment]]
        steps = [{"live": one, "edits": []} for one in reversed(before)]
        return Record.model_validate({"schema": "s", "promotion": {}, "live": live, "wayBack": steps})

    def check(self) -> None:
        rows = self.rows()
        for row in rows:
            past = self.past.setdefault(row.id, ["proposed"])
            if past[-1] != row.state:
                assert reaches(past[-1], row.state), f"{row.id}: {past[-1]} became {row.state}"
                past.append(row.state)
            assert row.state != "live" or row.action == "rollback" or row.step == len(WEIGHTS) - 1
            if row.environment == "production" and row.action == "promote" and "committed" in past:
                assert "live" in self.past[str(row.parent)], "no production before staging is live"
        backs = [str(row.candidate["promotion"]) for row in rows if row.action == "rollback"]
        assert all(not backs.count(row.id) for row in rows if row.action == "rollback")
        for name in ENVIRONMENTS:
            mine = [row for row in rows if row.environment == name and row.action == "rollback"]
            assert len([row for row in mine if row.state in promotions.OPEN and row.state != "stepping"]) <= 1
            there = {row.id for row in rows if row.state in promotions.IN_BRANCH and row.action == "promote"}
            assert {one.promotion for one in self.branch[name]} == {
                row.id for row in rows if row.environment == name and row.id in there
            }


def reaches(before: str, after: str) -> bool:
    """Whether the table leads from one state to another, by whichever ways."""
    found, now = {before}, {before}
    while now := {following for one in now for following in LEGAL[cast("Any", one)]} - found:
        found |= now
    return after in found


STEPS = st.one_of(
    st.tuples(st.just("propose"), st.sampled_from("ab")),
    st.tuples(st.just("look"), st.sampled_from([False, False, False, True])),
    st.tuples(
        st.just("verdict"),
        st.sampled_from(["passed", "passed", "failed", "error", "timeout"]),
        st.sampled_from(["staging", "staging", "production"]),
    ),
    st.tuples(st.just("take_up")),
    st.tuples(st.just("tick"), st.sampled_from([5, 11, 31])),
    st.tuples(st.just("hold"), st.sampled_from(ENVIRONMENTS), st.booleans()),
    st.tuples(st.just("ask"), st.sampled_from(["retry", "retry", "reject"]), st.integers(0, 4)),
)
STEP: list[tuple[Any, ...]] = [("look", False), ("verdict", "passed", "staging"), ("tick", 11)]
TO_LIVE: list[tuple[Any, ...]] = [("propose", "a"), *STEP, *STEP, *STEP]
ON: list[tuple[Any, ...]] = [("look", False), ("verdict", "passed", "production"), ("tick", 11)]
GOOD = [*TO_LIVE, ("tick", 31), *ON, *ON, *ON]
BAD = [*TO_LIVE, ("propose", "b"), *STEP, ("look", False), ("verdict", "failed", "staging"), ("look", False)]
BAD_AGAIN = [*BAD, ("verdict", "failed", "staging"), ("look", False), ("hold", "staging", False), ("propose", "b")]
HOOK = [("propose", "a"), *STEP, ("look", True), ("ask", "retry", 0), *STEP, *STEP]
REJECTED = [("propose", "a"), *STEP, ("ask", "reject", 0), ("look", False), *STEP]
UNSURE = [("propose", "a"), ("look", False), ("verdict", "timeout", "staging"), ("ask", "retry", 0), *STEP, *STEP]
PAUSED = [("propose", "a"), *STEP, ("take_up",), ("hold", "staging", True), ("look", False)]
SCRIPTS = [PAUSED, GOOD, BAD, BAD_AGAIN, HOOK, REJECTED, UNSURE]


def play(steps: list[tuple[Any, ...]]) -> Play:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        story = Play(connection)
        for name, *words in steps:
            story.now += timedelta(seconds=1)
            match name:
                case "tick":
                    story.now += timedelta(minutes=words[0])
                case "look":
                    story.look(refused=words[0])
                case "hold":
                    story.hold(words[0], on=words[1])
                case _:
                    getattr(story, name)(*words)
            story.check()
        story.ends = [row.state for row in reversed(story.rows())]
        return story


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        (GOOD, ["live", "live"]),
        (BAD, ["live", "rolled-back", "committed"]),
        (HOOK, ["live"]),
        (REJECTED, ["rolled-back", "live"]),
        (UNSURE, ["committed"]),
        (PAUSED, ["committed"]),
        ([*PAUSED, ("hold", "staging", False), *STEP, *STEP], ["live"]),
    ],
)
def test_each_script_ends_as_it_must(script: list[Any], ends: list[str]) -> None:
    """Oldest first."""
    assert play(script).ends == ends


@pytest.mark.slow
@given(st.lists(STEPS, max_size=14), st.sampled_from(SCRIPTS), st.lists(st.integers(0, 30), min_size=25, max_size=25))
@settings(max_examples=80, deadline=None)
def test_whatever_happens_in_whatever_order_what_must_hold_holds(
    steps: list[Any], script: list[Any], places: list[int]
) -> None:
    mixed = list(steps)
    for at, one in zip(sorted(places), script, strict=False):
        mixed.insert(min(at, len(mixed)), one)

    play(mixed)
