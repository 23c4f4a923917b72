"""Whether a judged promotion may be committed: approvals, freezes, limits, soaks and holds, decided without a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.approvals import Binding, person, tally, trailers
from deploy.clearance import Behind, Clearance, Situation, clear
from deploy.environments import Approvals, Terms
from deploy.freeze import frozen_until, spent_until
from deploy.record import EditMade
from deploy.states import IN_BRANCH, LEGAL, OPEN, TERMINAL, into, may
from retrain.store.approvals import Approval
from retrain.store.promotions import Hold

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOLD = Hold("digits", "staging", "incident", "eve", NOW - HOUR)


def terms(**more: Any) -> Terms:
    return Terms.model_validate(more)


def approval(actor: str, subject: str = "s", **more: Any) -> Approval:
    usual: dict[str, Any] = {"decision": "approve", "verified": True, "roles": ("approver",), "reason": "yes"}
    times: dict[str, Any] = {"at": NOW - HOUR, "expires_at": NOW + HOUR}
    return Approval(promotion="p-1", subject=subject, actor=actor, **{**usual, **times, **more})


def situation(**more: Any) -> Situation:
    words: dict[str, Any] = {"terms": terms(), "digest": "sha256:a", "subject": "s", "now": NOW, **more}
    return Situation(**words)


def said(**more: Any) -> Clearance:
    return clear(situation(**more))


# --- the table -----------------------------------------------------------------------------------------------------


def test_nothing_leaves_a_terminal_state_and_only_a_rollback_leaves_committed() -> None:
    assert {"refused", "rejected", "failed", "superseded", "noop", "rolled-back"} == TERMINAL
    assert LEGAL["committed"] == {"committed", "stepping", "live", "unhealthy", "rolled-back"}
    assert LEGAL["live"] == {"rolled-back"}
    assert set(LEGAL) == OPEN | TERMINAL | IN_BRANCH


def test_no_way_leads_from_rejected_to_committed_and_none_into_committing_but_after_gating() -> None:
    assert not may("rejected", "committed")
    assert into("committing") == {"gating", "awaiting", "committing", "open"}
    assert into("rolled-back") == IN_BRANCH


@given(st.lists(st.sampled_from(sorted(LEGAL)), max_size=30))
def test_whatever_is_tried_in_whatever_order_the_table_holds(tried: list[Any]) -> None:
    state, past = "proposed", ["proposed"]
    for one in tried:
        if may(state, one):
            state = one
            past.append(one)
    ended = [one for one in past if one in TERMINAL]
    assert len(ended) <= 1
    assert "committed" not in past or not {"rejected", "refused", "superseded", "failed", "noop"} & set(past)
    assert "committed" not in past or "gating" in past


# --- one thing at a time -------------------------------------------------------------------------------------------


def test_without_terms_it_goes_at_once() -> None:
    assert said().verdict == "go"


@pytest.mark.parametrize(
    ("given_", "need", "verdict"),
    [
        ([], 1, "wait"),
        ([approval("ada")], 1, "go"),
        ([approval("ada"), approval("ADA ")], 2, "wait"),
        ([approval("ada"), approval("ben")], 2, "go"),
        ([approval("ada", "other")], 1, "wait"),
        ([approval("ada", expires_at=NOW)], 1, "wait"),
        ([approval("ada", roles=("operator",))], 1, "wait"),
        ([approval("ada", roles=("admin",))], 1, "go"),
        ([approval("author")], 1, "wait"),
        ([approval("ada"), approval("ben", decision="reject", subject="older")], 1, "rejected"),
        ([approval("ada"), approval("ben", decision="reject", roles=("viewer",))], 1, "go"),
        ([approval("ada"), approval("author", decision="reject")], 1, "rejected"),
    ],
)
def test_approvals(given_: list[Approval], need: int, verdict: str) -> None:
    found = said(terms=terms(approvals={"required": need}), approvals=given_, authors={"Author"})

    assert found.verdict == verdict


def test_a_wait_for_approvals_says_who_is_missing_and_what_has_lapsed() -> None:
    given_ = [approval("ada", "older"), approval("ben", expires_at=NOW - HOUR), approval("cleo")]

    found = said(terms=terms(approvals={"required": 2}), approvals=given_)

    assert found.reason == (
        "approval: 1 of 2, by approver or admin; lapsed because what they approved has changed: ada; expired: ben"
    )
    assert (found.due, found.tally.until) == (None, NOW + HOUR)


def test_several_waits_are_all_named_and_the_longest_counts() -> None:
    freeze = [{"from": NOW - HOUR, "to": NOW + HOUR, "reason": "Friday"}]
    ended = [NOW - HOUR]

    found = said(terms=terms(freeze=freeze, limit={"promotions": 1, "per": "3h"}), ended=ended)

    assert (found.verdict, found.awaited, found.due) == ("wait", ("freeze", "limit"), NOW + 2 * HOUR)
    assert "frozen until 2026-11-21T13:00:00Z (Friday)" in found.reason
    assert "at most 1 in 3h: the next may go at 2026-11-21T14:00:00Z" in found.reason


def test_a_hold_refuses_what_comes_and_keeps_what_waits() -> None:
    assert said(hold=HOLD).verdict == "refused"
    assert said(hold=HOLD, waited=True).awaited == ("hold",)


@pytest.mark.parametrize(
    ("behind", "verdict", "awaited"),
    [
        (Behind("staging", None, False), "refused", ()),
        (Behind("staging", "sha256:b", False), "refused", ()),
        (Behind("staging", "sha256:a", True, NOW), "go", ()),
        (Behind("staging", "sha256:a", True, NOW + HOUR), "wait", ("soak",)),
        (Behind("staging", "sha256:a", True, NOW, HOLD), "wait", ("hold",)),
    ],
)
def test_the_environment_before(behind: Behind, verdict: str, awaited: tuple[str, ...]) -> None:
    found = said(behind=[behind])

    assert (found.verdict, found.awaited) == (verdict, awaited)


def test_the_older_of_two_that_wait_is_superseded_and_one_that_may_go_is_not() -> None:
    waiting = terms(approvals={})

    assert said(terms=waiting, newer="p-2").verdict == "superseded"
    assert said(terms=waiting, newer="p-2", approvals=[approval("ada")]).verdict == "go"


# --- all of it -----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["ada", "ben", "cleo", "Ada", "author"])
APPROVALS = st.builds(
    approval,
    NAMES,
    st.sampled_from(["s", "older"]),
    decision=st.sampled_from(["approve", "approve", "approve", "reject"]),
    roles=st.sampled_from([("approver",), ("viewer",), ("risk", "approver"), ()]),
    expires_at=st.sampled_from([None, NOW - HOUR, NOW, NOW + HOUR]),
)
SITUATIONS = st.builds(
    Situation,
    terms=st.sampled_from(
        [
            terms(),
            terms(approvals={"required": 1}),
            terms(approvals={"required": 2, "roles": ["risk", "approver"]}),
            terms(approvals={"required": 1, "notBy": "nobody"}, limit={"per": "2h"}),
            terms(freeze=[{"cron": "0 11 * * *", "for": "2h"}]),
        ]
    ),
    digest=st.just("sha256:a"),
    subject=st.just("s"),
    now=st.sampled_from([NOW, NOW + 2 * HOUR]),
    approvals=st.lists(APPROVALS, max_size=4),
    authors=st.just({"author"}),
    hold=st.sampled_from([None, None, HOLD]),
    ended=st.sampled_from([[], [NOW - HOUR], [NOW - 3 * HOUR]]),
    behind=st.lists(
        st.builds(
            Behind,
            st.just("staging"),
            st.sampled_from([None, "sha256:a"]),
            st.booleans(),
            st.sampled_from([None, NOW - HOUR, NOW + HOUR]),
        ),
        max_size=2,
    ),
    newer=st.sampled_from([None, "p-2"]),
    rejected=st.sampled_from([None, "p-0 was rejected"]),
    waited=st.booleans(),
)


@given(SITUATIONS)
@settings(max_examples=500)
def test_what_may_go_has_all_that_it_needs(s: Situation) -> None:
    """Said once more and plainly: an oracle that shares nothing with the code."""
    found = clear(s)
    if found.verdict != "go":
        assert found.reason
        return
    asked = s.terms.approvals
    eligible = [one for one in s.approvals if asked and set(one.roles) & set(asked.roles)]
    if asked is not None:
        yes = {
            one.actor.lower()
            for one in eligible
            if one.decision == "approve"
            and one.subject == s.subject
            and (one.expires_at is None or one.expires_at > s.now)
            and (asked.notBy == "nobody" or one.actor.lower() not in s.authors)
        }
        assert len(yes) >= asked.required
        assert not any(one.decision == "reject" for one in eligible)
    assert s.hold is None
    assert s.rejected is None
    assert all(one.here and (one.soaked is None or one.soaked <= s.now) and one.hold is None for one in s.behind)
    if s.terms.limit:
        assert not [one for one in s.ended if one > s.now - s.terms.limit.per]
    if s.terms.freeze:
        assert s.now.hour not in {11, 12}


@given(SITUATIONS, st.sampled_from(["other", "t"]))
def test_another_subject_never_goes_with_the_approvals_of_this_one(s: Situation, subject: str) -> None:
    moved = replace(s, subject=subject)

    assert s.terms.approvals is None or clear(moved).verdict != "go"


@given(SITUATIONS)
def test_a_wait_with_a_time_is_over_then_or_waits_for_something_else(s: Situation) -> None:
    found = clear(s)
    if found.verdict == "wait" and found.due is not None:
        assert found.due > s.now
        later = clear(replace(s, now=found.due))
        assert later.verdict != "wait" or later.due is None or later.due > found.due


# --- what approvals bind to ----------------------------------------------------------------------------------------

EDIT = EditMade(file="a.yaml", path="a", old="x", new="y", oldText="x", newText="y")
BINDING = Binding("sha256:a", ("repo", "main", "production", "digits"), "sha256:gates", "sha256:live", (EDIT,))


@pytest.mark.parametrize(
    "other",
    [
        replace(BINDING, model="sha256:b"),
        replace(BINDING, target=("repo", "main", "staging", "digits")),
        replace(BINDING, target=("repo", "next", "production", "digits")),
        replace(BINDING, gates="sha256:other"),
        replace(BINDING, champion=""),
        replace(BINDING, edits=()),
        replace(BINDING, edits=(EDIT.model_copy(update={"old": "z"}),)),
    ],
)
def test_whatever_changes_the_subject_is_another(other: Binding) -> None:
    assert other.subject != BINDING.subject
    assert replace(BINDING).subject == BINDING.subject


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_name_makes_another_trailer(actor: str, role: str) -> None:
    ((key, line),) = trailers([approval(actor, roles=(role,))])

    assert key == "Approved-By"
    assert len(f"{line}x".splitlines()) == 1


def test_people_are_the_same_however_they_are_written() -> None:
    assert person(" Ada  Lovelace") == person("ada lovelace")
    assert tally(Approvals(), [approval("ada"), approval("ADA")], "s", (), NOW).have == 1


# --- freezes and limits --------------------------------------------------------------------------------------------

MONDAY = datetime(2026, 11, 23, 8, tzinfo=UTC)
WEEKEND = {"cron": "0 18 * * fri", "for": "62h"}
TOKYO = {"cron": "0 0 * * *", "for": "1h", "timezone": "Asia/Tokyo"}
"""From 15:00 to 16:00 in UTC."""


@pytest.mark.parametrize(
    ("freeze", "now", "until"),
    [
        ([{"from": NOW, "to": NOW + HOUR}], NOW, NOW + HOUR),
        ([{"from": NOW, "to": NOW + HOUR}], NOW + HOUR, None),
        ([{"from": NOW, "to": NOW + HOUR}, {"from": NOW + HOUR, "to": NOW + 3 * HOUR}], NOW, NOW + 3 * HOUR),
        ([WEEKEND], MONDAY - 50 * HOUR, MONDAY),
        ([WEEKEND], MONDAY, None),
        ([TOKYO], NOW + 3.5 * HOUR, NOW + 4 * HOUR),
        ([TOKYO], NOW, None),
    ],
)
def test_frozen_until(freeze: list[Any], now: datetime, until: datetime | None) -> None:
    found = frozen_until(terms(freeze=freeze).freeze, now)

    assert (found[0] if found else None) == until


@given(st.lists(st.integers(-500, 0), max_size=8), st.integers(1, 4), st.integers(1, 300))
def test_a_limit_lets_no_more_through_than_it_says(past: list[int], promotions: int, minutes: int) -> None:
    ended, per = [NOW + timedelta(minutes=one) for one in past], timedelta(minutes=minutes)
    due = spent_until(ended, promotions, per, NOW)
    at = due or NOW
    assert len([one for one in ended if at - per < one <= at]) < promotions
    assert due is None or len([one for one in ended if NOW - per < one]) >= promotions
