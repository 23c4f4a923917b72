"""What is done next about a pull request: every rule as a row, and random lives in which people get in the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from deploy.forges.port import Head, PullRequest, Review
from deploy.forges.pulls import FINAL, Action, Branch, Mine, Wish, branch_of, decide, seen
from deploy.names import check_branch

KEY = "a1" * 32
US, ADA = "retrain@example.org", "ada@example.org"
SHA, OLD = "1" * 40, "2" * 40


def head(sha: str = SHA, *, key: str = KEY, by: str = US, parents: int = 1) -> Head:
    message = f"promote\n\nRetrain-Promotion: p-1\nRetrain-Intent: {key}\n"
    return Head(sha, message, by, by, tuple(f"{number}" * 40 for number in range(parents)))


def pull(**more: Any) -> PullRequest:
    return replace(PullRequest(7, "https://x", "open", "promote/x", "main", SHA, "bot", mergeable="yes"), **more)


def yes(who: str = "ada", sha: str | None = SHA) -> Review:
    return Review(who, None, sha)


MINE = Mine(KEY, frozenset(), frozenset({US}))
WISH = Wish(MINE, number=7, auto_merge=True)
THERE = Branch(head(), current=True, behind=False)
HUMAN = replace(THERE, head=head(by=ADA))
TWO = replace(WISH, approvals=2, approvers=("ada", "Grace"))

ROWS: list[tuple[str, Wish, Branch | None, PullRequest | None, str, str]] = [
    ("nothing there", WISH, None, None, "open", "no branch"),
    ("nothing to change", replace(WISH, change=False), None, None, "noop", "already"),
    ("nothing to change, but one is open", replace(WISH, change=False), THERE, pull(), "noop", "already"),
    ("pushed, then a crash", WISH, THERE, None, "open", "the branch is there"),
    ("an old try", WISH, replace(THERE, current=False), None, "open", "earlier try"),
    ("a stranger's branch of our name", WISH, HUMAN, None, "taken-over", "not ours"),
    ("opened, then a crash", replace(WISH, number=None), THERE, pull(), "adopt", "#7"),
    ("another one's number", replace(WISH, number=3), THERE, pull(), "adopt", "#7"),
    ("a human's commit", WISH, HUMAN, pull(), "taken-over", "111111111111"),
    ("a human's commit, nothing to change", replace(WISH, change=False), HUMAN, pull(), "taken-over", "not ours"),
    ("a merge of the base by a button", WISH, replace(THERE, head=head(parents=2)), pull(), "taken-over", "not ours"),
    ("another intent's commit", WISH, replace(THERE, head=head(key="b" * 64)), pull(), "taken-over", "not ours"),
    ("the forge lags", WISH, THERE, pull(head_sha=OLD), "wait", "does not show"),
    ("the branch was deleted", WISH, None, pull(), "rejected", "deleted"),
    ("closed", WISH, THERE, pull(state="closed"), "rejected", "closed without a merge"),
    ("closed, branch gone", WISH, None, pull(state="closed"), "rejected", "closed without a merge"),
    ("closed, and overruled", replace(WISH, overruled=frozenset({7})), None, pull(state="closed"), "open", "no branch"),
    ("content changed", WISH, replace(THERE, current=False), pull(), "update", "changed since"),
    ("conflict", WISH, replace(THERE, behind=True), pull(mergeable="no", needs_base=True, why="c"), "rebuild", "c"),
    ("conflict, says a forge that lags", WISH, THERE, pull(mergeable="no", needs_base=True, why="c"), "wait", "c"),
    ("base moved, no conflict", WISH, replace(THERE, behind=True), pull(), "merge", "all"),
    ("not yet looked at", WISH, THERE, pull(mergeable="unknown"), "wait", "does not say yet"),
    ("blocked by a rule", WISH, THERE, pull(mergeable="no", why="a rule"), "wait", "a rule"),
    ("a person merges", replace(WISH, auto_merge=False), THERE, pull(), "wait", "a person merges it"),
    ("the platform's approvals", replace(WISH, approved=False), THERE, pull(), "wait", "approvals of the promotion"),
    ("changes asked for", WISH, THERE, pull(refusals=(yes("bob"),)), "wait", "bob asked for changes"),
    ("changes asked for by a passer-by", TWO, THERE, pull(refusals=(yes("bob"),)), "wait", "0 of 2"),
    ("one of two", TWO, THERE, pull(approvals=(yes(), yes("ADA"), yes("bob"))), "wait", "1 of 2"),
    ("one of an older commit", TWO, THERE, pull(approvals=(yes(), yes("grace", OLD))), "wait", "1 of 2"),
    ("one of an unknown commit", TWO, THERE, pull(approvals=(yes(), yes("grace", None))), "wait", "1 of 2"),
    ("two of two", TWO, THERE, pull(approvals=(yes(), yes("grace"))), "merge", "all"),
    ("on the base, says the record", replace(WISH, on_base=True), THERE, pull(), "wait", "does not say so yet"),
    ("on the base, no pull request", replace(WISH, on_base=True), None, None, "done", "holds it already"),
    ("pushed by hand, then closed", replace(WISH, on_base=True), None, pull(state="closed"), "done", "holds it"),
    ("merged, not looked at", WISH, None, pull(state="merged", merge_sha=OLD), "verify", "see what it holds"),
]


@pytest.mark.parametrize(("what", "wish", "branch", "shown", "name", "reason"), ROWS, ids=[row[0] for row in ROWS])
def test_the_next_step(
    what: str, wish: Wish, branch: Branch | None, shown: PullRequest | None, name: str, reason: str
) -> None:
    action = decide(wish, branch, shown)

    assert action.name == name
    assert reason in action.reason


def test_a_push_has_the_lease_of_what_was_seen_and_a_merge_its_commit() -> None:
    old = replace(THERE, current=False, head=head(OLD))

    assert decide(WISH, None, None).lease == ""
    assert decide(WISH, THERE, None).lease is None
    assert decide(WISH, old, None).lease == OLD
    assert decide(WISH, old, pull(head_sha=OLD)).lease == OLD
    assert decide(WISH, THERE, pull()).head_sha == SHA


def test_a_branch_is_current_if_every_file_says_what_would_be_written_now() -> None:
    one, two = head(), {"a": b"1", "b": b"2"}
    base = one.parents[0]

    assert seen(one, base, {**two, "c": b"3"}, two) == Branch(one, current=True, behind=False)
    assert seen(one, OLD, two, two) == Branch(one, current=True, behind=True)
    assert not seen(one, base, {"a": b"1"}, two).current
    assert not seen(one, base, {"a": b"1", "b": None}, two).current


@pytest.mark.parametrize("number", [7, 3, None])
def test_what_was_merged_is_what_counts(number: int | None) -> None:
    wish, merged = replace(WISH, number=number), pull(state="merged", merge_sha=OLD)

    assert decide(wish, HUMAN, merged, "yes") == Action("done", "#7 is merged", 7, merge_sha=OLD)
    edited = decide(wish, None, merged, "no")
    # Another promotion's is history: this one begins anew.
    assert edited.name == ("taken-over" if number == 7 else "open")


def test_a_commit_that_was_written_down_is_ours_whoever_committed_it() -> None:
    """GitHub's own commits have GitHub's committer."""
    by_github = Head(SHA, "promote", "bot@example.org", "noreply@github.com", (OLD,))

    assert not MINE.made(by_github)
    assert replace(MINE, pushed=frozenset({SHA})).made(by_github)


def test_the_last_trailer_tells_whose_a_commit_is() -> None:
    forged = f"x\n\nRetrain-Intent: {KEY}\n\nRetrain-Intent: {'b' * 64}"

    assert not MINE.made(Head(SHA, forged, US, US, (OLD,)))
    assert not MINE.made(Head(SHA, f"see Retrain-Intent: {KEY} there", US, US, (OLD,)))


@pytest.mark.parametrize(
    ("target", "branch"),
    [
        ("prod/digits", "promote/prod/digits/a1a1a1a1a1a1"),
        ("Prod EU/../x", "promote/prod-eu/x/x/a1a1a1a1a1a1"),
        ("-x/.lock", "promote/x/x/a1a1a1a1a1a1"),
        ("a..b//c.lock", "promote/a-b/c/a1a1a1a1a1a1"),
        ("ümlaut/名", "promote/mlaut/x/a1a1a1a1a1a1"),
    ],
)
def test_a_branchs_name_is_one_that_git_takes(target: str, branch: str) -> None:
    assert branch_of(target, KEY) == branch
    assert check_branch(branch) is None


@dataclass
class Seen:
    """What the platform has written down, and what the test holds it to."""

    number: int | None = None
    pushed: frozenset[str] = frozenset()
    opened: int = 0
    merged: int = 0


class Life(RuleBasedStateMachine):
    """One wish on one forge. People commit, close, merge, approve, move the base; the platform looks, acts, crashes."""

    @initialize(auto=st.booleans(), approvals=st.integers(0, 1))
    def begin(self, auto: bool, approvals: int) -> None:
        self.auto, self.approvals = auto, approvals
        self.seen = Seen()
        self.count = 0
        self.base, self.content = 0, 0
        self.branch: list[tuple[str, str]] | None = None  # (sha, who)
        self.built: tuple[int, int] = (0, 0)  # base and content that the branch was made of
        self.conflict = False
        self.pulls: list[PullRequest] = []
        self.landed = False
        self.closed_by_people = False
        self.by_people = 0
        self.last: Action | None = None

    def sha(self) -> str:
        self.count += 1
        return f"{self.count:040x}"

    @property
    def current(self) -> PullRequest | None:
        return max(self.pulls, key=lambda one: (one.state == "open", one.number), default=None)

    def change(self, **more: Any) -> None:
        shown = self.current
        assert shown is not None
        self.pulls[self.pulls.index(shown)] = replace(shown, **more)

    def is_open(self) -> bool:
        return self.current is not None and self.current.state == "open"

    def look(self) -> tuple[Wish, Branch | None, PullRequest | None]:
        mine = Mine(KEY, self.seen.pushed, frozenset({US}))
        wish = Wish(
            mine,
            change=not self.landed,
            on_base=self.landed,
            number=self.seen.number,
            auto_merge=self.auto,
            approvals=self.approvals,
            approvers=("ada",),
        )
        branch = None
        if self.branch is not None:
            sha, who = self.branch[-1]
            branch = Branch(
                head(sha, by=US if who == "us" else ADA), self.built[1] == self.content, self.built[0] != self.base
            )
        return wish, branch, self.current

    # What people do.

    @precondition(lambda self: self.branch is not None)
    @rule()
    def a_person_commits(self) -> None:
        assert self.branch is not None
        self.branch.append((self.sha(), "ada"))
        if self.is_open():
            self.change(head_sha=self.branch[-1][0])

    @precondition(lambda self: self.is_open())
    @rule()
    def a_person_closes(self) -> None:
        self.change(state="closed")
        self.closed_by_people = True

    @precondition(lambda self: self.is_open() and not self.conflict)
    @rule()
    def a_person_merges(self) -> None:
        self.by_people += 1
        self.merge()

    @precondition(lambda self: self.is_open())
    @rule()
    def a_person_approves(self) -> None:
        assert self.current is not None
        self.change(approvals=(*self.current.approvals, Review("ada", None, self.current.head_sha)))

    @rule(conflict=st.booleans())
    def the_base_moves(self, conflict: bool) -> None:
        self.base += 1
        if self.branch is not None and conflict:
            self.conflict = True

    @rule()
    def the_model_that_is_live_changes(self) -> None:
        self.content += 1

    @precondition(lambda self: self.branch is not None)
    @rule()
    def a_person_deletes_the_branch(self) -> None:
        self.branch = None
        if self.is_open():
            self.change(state="closed")
            self.closed_by_people = True

    def merge(self) -> None:
        self.landed = True
        self.change(state="merged", merge_sha=self.sha())

    # What the platform does. `late`: a person commits between look and act. `crash`: what was done is not noted.

    @rule(late=st.booleans(), crash=st.booleans())
    def the_platform_steps(self, late: bool, crash: bool) -> None:
        wish, branch, shown = self.look()
        if shown is not None and shown.state == "open":
            broken = self.conflict
            shown = replace(
                shown, mergeable="no" if broken else "yes", needs_base=broken, why="conflict" if broken else ""
            )
        action = decide(wish, branch, shown, "yes" if self.landed else "unknown")
        self.last = action
        if late and self.branch is not None:
            self.a_person_commits()
        self.act(action, crash)

    @rule(times=st.integers(2, 4))
    def the_platform_works_undisturbed(self, times: int) -> None:
        for _ in range(times):
            self.the_platform_steps(late=False, crash=False)

    def act(self, action: Action, crash: bool) -> None:
        if action.lease is not None and not self.push(action):
            return
        match action.name:
            case "open":
                if self.is_open() or self.branch is None or (crash and action.lease is not None):
                    return
                assert not self.closed_by_people, "opened again what a person had closed"
                self.seen.opened += 1
                number = len(self.pulls) + 1
                self.pulls.append(PullRequest(number, "", "open", "b", "main", self.branch[-1][0]))
                self.seen.number = self.seen.number if crash else number
            case "adopt":
                self.seen.number = action.number
            case "merge":
                # The forge compares: `Merge.head_sha`.
                if self.branch is None or self.branch[-1][0] != action.head_sha or not self.is_open():
                    return
                assert self.branch[-1][1] == "us", "merged what a person had committed"
                assert self.current is not None
                assert self.approvals == 0 or any(one.head_sha == action.head_sha for one in self.current.approvals)
                self.seen.merged += 1
                self.merge()
            case _:
                pass

    def push(self, action: Action) -> bool:
        """Git compares: the lease. Whether it was pushed."""
        tip = self.branch[-1] if self.branch else ("", "nobody")
        if tip[0] != action.lease:
            return False
        assert tip[1] != "ada", "pushed over a person's commit"
        made = self.sha()
        self.seen.pushed |= {made}
        self.branch, self.built, self.conflict = [(made, "us")], (self.base, self.content), False
        if self.is_open():
            self.change(head_sha=made)
        return True

    @invariant()
    def what_must_hold(self) -> None:
        if not hasattr(self, "seen"):
            return
        assert self.seen.merged + self.by_people <= 1, "merged more than once"
        assert sum(one.state == "open" for one in self.pulls) <= 1
        if self.last is not None and self.last.name in FINAL and self.last.name == "done":
            assert self.landed


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
