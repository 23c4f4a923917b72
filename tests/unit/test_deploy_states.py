"""Random sequences of what people, candidates, clocks and other writers do to one target; the branch is a list here.

What decides is the house's own: proposals, desk, barrier, outcomes, over a store in memory. What is checked is told
once more by the test itself at each commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

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
from deploy.states import TERMINAL
from retrain.errors import Forbidden, Refused
from retrain.identity import Principal
from retrain.store import approvals, promotions
from retrain.store.promotions import Hold, PromotionRow
from retrain.store.tables import metadata
from tests.integration.promotion_world import candidate, document

START = datetime(2026, 11, 21, tzinfo=UTC)
HOUR = timedelta(hours=1)
PEOPLE = {
    "ada": Principal("ada", frozenset({"approver"}), verified=True),
    "ben": Principal("ben", frozenset({"approver", "operator"}), verified=True),
    "cleo": Principal("cleo", frozenset({"viewer"}), verified=True),
}
ENVIRONMENTS = ("staging", "production")


def the_document() -> PromotionDocument:
    short = document("/nowhere")
    edits = [one.model_dump(mode="json", exclude_unset=True) for one in short.spec.edits]
    production = {
        "approvals": {"required": 2, "expires": "3h"},
        "limit": {"promotions": 1, "per": "2h"},
        "freeze": [{"cron": "0 6 * * *", "for": "2h"}],
    }
    spec = {
        "repo": {"url": "/nowhere"},
        "environments": [
            {"name": "staging", "edits": edits, "soak": "1h"},
            {"name": "production", "edits": edits, **production},
        ],
    }
    body = short.model_dump(mode="json", include={"apiVersion", "kind", "metadata"})
    return PromotionDocument.model_validate({**body, "spec": spec})


@dataclass
class Play:
    """One target's story. `live`: what Git says, by environment; `gates`: what changes when a report does."""

    connection: Connection
    document: PromotionDocument = field(default_factory=the_document)
    now: datetime = START
    live: dict[str, list[Live]] = field(default_factory=lambda: {name: [] for name in ENVIRONMENTS})
    gates: int = 0
    past: dict[str, list[str]] = field(default_factory=dict)
    went: list[datetime] = field(default_factory=list)
    turns: int = 0

    @property
    def desk(self) -> Desk:
        return Desk(lambda: {"digits": self.document})

    def rows(self) -> list[PromotionRow]:
        return promotions.listing(self.connection, promotions.PromotionFilter(), limit=1000).items

    def propose(self, model: str, environment: str) -> None:
        self.turns += 1
        body = candidate(model, run=f"r-{self.turns}")
        request = PromotionRequest("digits", body, f"f-{self.turns}", environment=environment)
        submit(self.connection, self.document, request, self.now)

    def person(self, name: str, verb: str, which: int) -> None:
        rows = self.rows()
        if not rows:
            return
        row, by = rows[which % len(rows)], PEOPLE[name]
        act: Callable[..., Any] = getattr(self.desk, verb)
        try:
            act(self.connection, row.id, by, "because", self.now)
        except (Forbidden, Refused):
            return
        assert verb == "retry" or row.state not in TERMINAL
        assert verb != "approve" or name != "cleo"

    def hold(self, environment: str, *, on: bool) -> None:
        if on:
            hold = Hold("digits", environment, "because", "ben", self.now)
            self.desk.hold(self.connection, hold, PEOPLE["ben"])
        else:
            self.desk.release(self.connection, self.document.at(environment), PEOPLE["ben"], "", self.now)

    def human(self) -> None:
        """Somebody changes by hand what is live: another champion."""
        self.turns += 1
        digest = f"sha256:{self.turns:064x}"
        for name in ENVIRONMENTS:
            self.live[name].append(Live(digest=digest, uri="s3://x", promotion="hand"))

    def roll_back(self, environment: str) -> None:
        if self.live[environment]:
            gone = self.live[environment].pop()
            promotions.mark_rolled_back(self.connection, gone.promotion, self.now, "odd")
            hold = Hold("digits", environment, "rolled back", "ben", self.now)
            self.desk.hold(self.connection, hold, PEOPLE["ben"])

    def record(self, environment: str) -> Record | None:
        if not self.live[environment]:
            return None
        steps = [{"live": one.model_dump(), "edits": []} for one in reversed(self.live[environment][:-1])]
        live = self.live[environment][-1].model_dump()
        return Record.model_validate({"schema": "s", "promotion": {}, "live": live, "wayBack": steps})

    def subject(self, row: PromotionRow) -> str:
        live = self.live[row.environment]
        champion = live[-1].digest if live else ""
        return f"{row.environment} {row.candidate['digest']} over {champion} by report {self.gates}"

    def look(self, *, lost: bool) -> None:
        """What the promoter does with all that is due; `lost`: somebody else pushes first."""
        succession.advance(self.connection, [self.document], self.now)
        until = self.now + HOUR
        for row in promotions.claim(self.connection, "me", self.now, until, limit=10):
            self._work(row, lost=lost)
            promotions.let_go(self.connection, "me", row.id)

    def _work(self, row: PromotionRow, *, lost: bool) -> None:
        c, fresh = self.connection, promotions.get(self.connection, row.id)
        assert fresh is not None
        hold = promotions.holding(c, row.name, row.environment)
        if fresh.state != "awaiting" and hold is not None:
            outcomes.emit(c, "me", row, Ending("refused", "held"), self.now)
            return
        if fresh.state != "awaiting":
            promotions.save(c, "me", row.id, self.now, state="gating")
        subject = self.subject(row)
        given_ = tuple(one for one in approvals.of(c, row.id) if one.subject == subject)
        counted = barrier.countable(c, self.document.at(row.environment), row, self.now)
        counted = tuple(one for one in counted if one.subject == subject)
        derived = Derived("commit", subject=subject, approvals=counted)
        seen = [(name, self.record(name)) for name in self.document.before(row.environment)]
        pushing = Pushing("me", row, self.document, derived, "base", f"sha-{row.id}", row.created, seen)
        answer = barrier.ask(c, pushing, self.now)
        if isinstance(answer, Ending):
            outcomes.emit(c, "me", row, answer, self.now)
        elif answer == "go" and lost:
            promotions.save(c, "me", row.id, self.now, state="gating", commit_sha=None, owner=None)
        elif answer == "go":
            self._check(fresh, subject, given_)
            model = str(row.candidate["digest"])
            self.live[row.environment].append(Live(digest=model, uri="s3://x", promotion=row.id))
            outcomes.emit(c, "me", row, Ending("committed", "", "base", f"sha-{row.id}"), self.now)

    def _check(self, row: PromotionRow, subject: str, given_: tuple[approvals.Approval, ...]) -> None:
        """What must be so at every commit."""
        assert promotions.holding(self.connection, row.name, row.environment) is None
        assert "rejected" not in self.past.get(row.id, [])
        if row.environment == "staging":
            return
        yes = {one.actor for one in given_ if one.expires_at and one.expires_at > self.now}
        assert len(yes) >= 2, f"{row.id} goes live with {given_}"
        assert self.now.hour not in {6, 7}
        assert not [one for one in self.went if one > self.now - 2 * HOUR]
        self.went.append(self.now)
        staged = [one for one in self.live["staging"] if one.digest == row.candidate["digest"]]
        assert staged, "production without staging"

    def check(self) -> None:
        for row in self.rows():
            past = self.past.setdefault(row.id, [])
            if not past or past[-1] != row.state:
                assert not past or past[-1] not in TERMINAL, f"{row.id} left {past[-1]} for {row.state}"
                past.append(row.state)


STEPS = st.one_of(
    st.tuples(st.just("propose"), st.sampled_from("abc"), st.sampled_from(["staging", "staging", "production"])),
    st.tuples(
        st.just("person"),
        st.sampled_from(["ada", "ben", "cleo"]),
        st.sampled_from(["approve", "approve", "approve", "reject", "retry"]),
        st.integers(0, 3),
    ),
    st.tuples(st.just("look"), st.booleans()),
    st.tuples(st.just("tick"), st.sampled_from([10, 61, 200])),
    st.tuples(st.just("hold"), st.sampled_from(ENVIRONMENTS), st.booleans()),
    st.tuples(st.just("roll_back"), st.sampled_from(ENVIRONMENTS)),
    st.tuples(st.just("human")),
    st.tuples(st.just("report")),
)
GOOD: list[tuple[Any, ...]] = [
    ("propose", "a", "staging"),
    ("look", False),
    ("tick", 61),
    ("look", False),
    ("person", "ada", "approve", 0),
    ("person", "ben", "approve", 0),
    ("look", False),
]
"""The straight way to production, for the steps to disturb."""
APPROVED: list[tuple[Any, ...]] = [("person", "ada", "approve", 0), ("person", "ben", "approve", 0), ("look", False)]
PAST_STAGING: list[tuple[Any, ...]] = [("propose", "b", "production"), ("look", False), *APPROVED]
TAKEN_BACK: list[tuple[Any, ...]] = [*GOOD[:4], ("roll_back", "staging"), ("hold", "staging", False), *APPROVED]
ANOTHER_REPORT: list[tuple[Any, ...]] = [*GOOD[:-1], ("report",), ("look", False), *APPROVED]
LATE: list[tuple[Any, ...]] = [*GOOD[:5], ("tick", 200), *GOOD[5:]]
TWICE: list[tuple[Any, ...]] = [*GOOD, *GOOD]
REJECTED: list[tuple[Any, ...]] = [*GOOD[:-1], ("person", "ada", "reject", 0), ("look", False), *PAST_STAGING]
SCRIPTS = [GOOD, PAST_STAGING, TAKEN_BACK, ANOTHER_REPORT, LATE, TWICE, REJECTED]
"""What goes wrong first where a check is missing."""


def play(steps: list[tuple[Any, ...]]) -> Play:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        story = Play(connection)
        for name, *words in steps:
            # Two things never happen at the same moment.
            story.now += timedelta(seconds=1)
            match name:
                case "tick":
                    story.now += timedelta(minutes=words[0])
                case "look":
                    story.look(lost=words[0])
                case "hold":
                    story.hold(words[0], on=words[1])
                case "report":
                    story.gates += 1
                case _:
                    getattr(story, name)(*words)
            story.check()
        return story


def test_the_straight_way_leads_to_production() -> None:
    story = play(GOOD)

    assert [one.digest for one in story.live["production"]] == [candidate("a")["digest"]]


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_must_hold_holds_in_each_script(script: list[Any]) -> None:
    play(script)


@pytest.mark.slow
@given(st.lists(STEPS, max_size=12), st.sampled_from(SCRIPTS), st.lists(st.integers(0, 40), min_size=14, max_size=14))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_in_whatever_order_what_must_hold_holds(
    steps: list[Any], script: list[Any], places: list[int]
) -> None:
    mixed = list(steps)
    for at, one in zip(sorted(places), script, strict=False):
        mixed.insert(min(at, len(mixed)), one)

    story = play(mixed)

    for past in story.past.values():
        assert "rejected" not in past or past[-1] == "rejected"
        assert "committed" not in past or past[-1] in {"committed", "rolled-back"}
