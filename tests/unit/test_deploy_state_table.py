"""The table of states as a graph, and the store held against it: whatever is asked for in whatever order."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from deploy.derive import Derived
from deploy.outcomes import Ending, emit
from deploy.states import IN_BRANCH, LEGAL, OPEN, TERMINAL, State, into, may
from retrain.store import outbox, promotions
from retrain.store.promotions import PromotionRow
from retrain.store.tables import metadata

STATES: tuple[State, ...] = get_args(State)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
ENDS = ("committed", "noop", "refused", "rejected", "failed", "superseded")


def reach(start: State, *, without: Collection[State] = ()) -> set[State]:
    """The states that a promotion may come to, by a way that avoids some."""
    found: set[State] = set()
    waiting = [start]
    while waiting:
        for after in LEGAL[waiting.pop()]:
            if after not in found and after not in without:
                found.add(after)
                waiting.append(after)
    return found


def test_each_state_has_its_row_and_can_be_reached() -> None:
    assert set(LEGAL) == set(STATES)
    assert {"proposed", *reach("proposed")} == set(STATES)


@pytest.mark.parametrize("state", ["rejected", "refused", "failed", "superseded", "noop", "rolled-back"])
def test_what_is_over_stays_over(state: State) -> None:
    """No path from rejected to merged."""
    assert reach(state) == set()
    assert state in TERMINAL


@pytest.mark.parametrize("state", STATES)
def test_from_everywhere_there_is_an_end(state: State) -> None:
    ends = TERMINAL | {"live", "unhealthy", "committed"}
    assert state in ends or reach(state) & ends


def test_nothing_comes_into_the_branch_unjudged() -> None:
    assert not reach("proposed", without={"gating"}) & {*IN_BRANCH, "committing", "open", "awaiting"}


def test_nothing_is_verified_that_was_not_committed() -> None:
    assert not reach("proposed", without={"committed"}) & {"live", "unhealthy", "stepping", "rolled-back"}


def test_what_is_in_the_branch_leaves_it_by_a_rollback_alone() -> None:
    for state in IN_BRANCH:
        assert reach(state) <= IN_BRANCH | {"rolled-back"}


def test_nobody_rejects_what_may_be_in_the_branch_already() -> None:
    assert not may("committing", "rejected")
    assert not any(may(state, "rejected") for state in IN_BRANCH)


def test_the_store_knows_the_same_words() -> None:
    assert set(promotions.OPEN) == OPEN
    assert set(promotions.IN_BRANCH) == IN_BRANCH
    assert TERMINAL.isdisjoint(OPEN | IN_BRANCH)
    assert set(STATES) == OPEN | IN_BRANCH | TERMINAL


def a_row() -> PromotionRow:
    return PromotionRow(
        id="p-1",
        intent_key="1" * 64,
        name="digits",
        environment="staging",
        candidate={"digest": f"sha256:{'1' * 64}", "uri": "s3://x"},
        created=NOW,
        updated=NOW,
        next_attempt=NOW,
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.sampled_from(STATES)),
        st.tuples(st.just("end"), st.sampled_from(ENDS)),
        st.tuples(st.just("taken back"), st.just("")),
    ),
    max_size=15,
)


@given(STEPS)
@settings(max_examples=150)
def test_no_order_of_writes_leaves_the_table(steps: list[tuple[str, Any]]) -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    with engine.begin() as connection:
        promotions.propose(connection, a_row())
        past: list[Any] = ["proposed"]
        for what, state in steps:
            row = promotions.get(connection, "p-1")
            assert row is not None
            match what:
                case "save":
                    done = promotions.save(connection, None, "p-1", NOW, was=into(state), state=state)
                case "end":
                    done = emit(connection, None, row, Ending(state, "x", derived=Derived("noop")), NOW)
                case _:
                    done = promotions.mark_rolled_back(connection, "p-1", NOW, "x")
            after = promotions.get(connection, "p-1")
            assert after is not None
            if done:
                assert may(past[-1], after.state)  # type: ignore[arg-type]
                past.append(after.state)
            assert after.state == past[-1]
        told = [event.id for _, event in outbox.pending(connection)]
    over = [at for at, state in enumerate(past) if state in TERMINAL]
    assert over in ([], [len(past) - 1])
    assert "rejected" not in past or not set(past) & {"rolled-back"}
    assert len(told) <= len([one for one in steps if one[0] == "end"])
