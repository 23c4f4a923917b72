"""The pull request way, as far as it is pure: what follows from the forge's answer, what is kept, what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy import check
from deploy.barrier import Answer
from deploy.candidate import read
from deploy.clearance import Clearance
from deploy.derive import Derived, Intent
from deploy.forges import Action, PullRequest, PullRequestSpec
from deploy.forges.pulls import ActionName
from deploy.gates import Verdict
from deploy.outcomes import Ending
from deploy.pulling import telling
from deploy.pulling.kept import Kept, Memory
from deploy.pulling.step import Known, known_of, mine_of, next_step, wish_of
from deploy.spec import PromotionDocument
from retrain.store.promotions import PromotionRow
from tests.integration.promotion_world import candidate, document

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY, SHA = "ab" * 32, "1" * 40
PULL = PullRequest(7, "https://x", "open", "promote/x", "main", SHA)
COMMIT = Derived("commit", message="promote(digits): v2\n\nRetrain-Promotion: p-1\n")
WAITS = Clearance("wait", NOW, "held by ada", ("hold",))
REFUSED = Ending("superseded", "p-2 is newer")
SPEC = {"forge": "github", "repository": "acme/deploy", "token": {"env": "TOKEN"}}


def action(name: ActionName, **more: Any) -> Action:
    return Action(name, f"because {name}", 7, **more)


def by_pull(**more: Any) -> PromotionDocument:
    return document("https://github.com/acme/deploy.git", pullRequest={**SPEC, **more.pop("pull", {})}, **more)


ROWS: list[tuple[str, Action, Derived, Answer | None, str]] = [
    ("merged, whatever else is said", action("done", merge_sha=SHA), COMMIT, REFUSED, "over committed"),
    ("closed, whatever else is said", action("rejected"), COMMIT, WAITS, "over rejected"),
    ("superseded here", action("merge"), COMMIT, REFUSED, "over superseded"),
    ("superseded here, taken over there", action("taken-over"), COMMIT, REFUSED, "over superseded"),
    ("approved meanwhile", action("open", lease=""), COMMIT, "again", "again"),
    ("another's by now", action("open", lease=""), COMMIT, "lost", "lost"),
    ("a gate says no", action("merge"), Derived("refused", "gate x failed"), None, "over refused"),
    ("a gate cannot say", action("update", lease=SHA), Derived("unjudged", "gate x"), None, "unjudged refused"),
    ("nothing to change", action("noop"), Derived("noop", "so already"), None, "over noop"),
    ("on the base, open there", action("wait"), Derived("landed"), None, "missed committed"),
    ("merged without us", action("taken-over", merge_sha=SHA), COMMIT, "go", "missed refused"),
    ("merged, edited", action("taken-over", merge_sha=SHA), Derived("landed"), None, "missed refused"),
    ("taken over", action("taken-over"), COMMIT, "go", "wait"),
    ("cleared, not there", action("open", lease=""), COMMIT, "go", "open push"),
    ("cleared, pushed before", action("open"), COMMIT, "go", "open"),
    ("not cleared, not there", action("open", lease=""), COMMIT, WAITS, "wait"),
    ("not cleared, changed", action("update", lease=SHA), COMMIT, WAITS, "wait"),
    ("not cleared, found", action("adopt"), COMMIT, WAITS, "adopt"),
    ("changed", action("update", lease=SHA), COMMIT, "go", "push push"),
    ("conflict", action("rebuild", lease=SHA), COMMIT, "go", "push push"),
    ("a person merges", action("wait"), COMMIT, "go", "wait"),
    ("all is there", action("merge", head_sha=SHA), COMMIT, "go", "merge"),
]


@pytest.mark.parametrize(("what", "todo", "derived", "said", "follows"), ROWS, ids=[row[0] for row in ROWS])
def test_what_follows(what: str, todo: Action, derived: Derived, said: Answer | None, follows: str) -> None:
    step = next_step(todo, PULL, derived, said)

    words = [step.verb, step.ending.state if step.ending else "", "push" if step.lease is not None else ""]
    assert " ".join(word for word in words if word) == follows


@given(
    st.builds(
        Action,
        st.sampled_from(get_args(ActionName)),
        st.just("why"),
        st.just(7),
        lease=st.sampled_from([None, "", SHA]),
        head_sha=st.sampled_from([None, SHA]),
        merge_sha=st.sampled_from([None, SHA]),
    ),
    st.sampled_from([COMMIT, Derived("noop"), Derived("landed"), Derived("refused", "x"), Derived("unjudged", "x")]),
    st.sampled_from([None, "go", "again", "lost", WAITS, REFUSED]),
)
def test_nothing_is_pushed_or_merged_without_the_last_word(todo: Action, derived: Derived, said: Any) -> None:
    said = said if derived.outcome == "commit" else None
    step = next_step(todo, PULL, derived, said)

    if step.lease is not None or step.verb == "merge":
        assert said == "go"
        assert todo.name not in {"taken-over", "done", "rejected"}
    assert (step.ending is not None) == (step.verb in {"over", "missed", "unjudged"})


def test_who_said_no_there_is_named() -> None:
    closed = replace(PULL, state="closed", closed_by="ada")
    merged = replace(PULL, state="merged", merged_by="ada", merge_sha=SHA)

    no = next_step(action("rejected"), closed, COMMIT, "go").ending
    gone = next_step(action("rejected"), PULL, COMMIT, "go").ending
    yes = next_step(action("done", merge_sha=SHA), merged, Derived("landed"), None).ending

    assert no == Ending("rejected", "pull request #7 was closed without a merge by ada")
    assert gone == Ending("rejected", "pull request #7 lost its branch")
    assert yes == Ending("committed", "pull request #7 was merged by ada", commit=SHA, derived=Derived("landed"))


def row(promotion_id: str, state: str = "open", number: int | None = None, **more: Any) -> PromotionRow:
    pull = Kept(number, "u", "b", SHA, SHA).to_json() if number else None
    return PromotionRow(promotion_id, KEY, "digits", "prod", {}, NOW, NOW, NOW, state=state, pull=pull, **more)


def test_a_closed_pull_request_counts_until_it_is_overruled() -> None:
    mine = row("p-9", number=9)
    others = [row("p-1", "superseded", 1), row("p-2", "rejected", 2), row("p-3", "refused"), mine]

    plain = known_of(mine, others)
    asked_again = known_of(replace(mine, retry_of="p-2"), others)

    assert plain.overruled == {1}
    assert asked_again.overruled == {1, 2}
    assert plain.kept is not None
    assert plain.kept.number == 9


def test_only_github_commits_for_us() -> None:
    git = PullRequestSpec.model_validate(SPEC)
    api = PullRequestSpec.model_validate({**SPEC, "commits": "api"})
    intent = Intent("p-1", KEY, "promote", "sha256:x", NOW)
    known = Known(Kept(7, "u", "b", SHA, SHA), "2" * 40)

    assert mine_of(git, "us@x", intent, known).identities == {"us@x"}
    assert mine_of(api, "us@x", intent, known).identities == {"us@x", "noreply@github.com"}
    assert mine_of(git, "us@x", intent, known).pushed == {SHA, "2" * 40}


def test_who_goes_back_asks_nobody() -> None:
    spec = PullRequestSpec.model_validate({**SPEC, "approvals": 1, "approvers": ["ada"], "autoMerge": True})
    forth = Intent("p-1", KEY, "promote", "sha256:x", NOW)
    mine = mine_of(spec, "us@x", forth, Known(None, None))

    there = wish_of(spec, forth, mine, Known(None, None), COMMIT, "go")
    back = wish_of(spec, replace(forth, action="rollback"), mine, Known(None, None), COMMIT, "go")

    assert (there.approvals, there.approved, there.auto_merge) == (1, True, True)
    assert (back.approvals, back.approved, back.auto_merge) == (0, True, True)
    assert not wish_of(spec, forth, mine, Known(None, None), COMMIT, WAITS).approved


KEPT = st.builds(
    Kept,
    st.integers(1, 10**9),
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=40),
    st.text(max_size=40),
    state=st.sampled_from(["open", "merged", "closed"]),
    by=st.none() | st.text(min_size=1, max_size=9),
    taken_over=st.booleans(),
    memory=st.builds(Memory, *[st.text(max_size=9)] * 7),
)


@given(KEPT)
def test_what_is_kept_is_read_again(kept: Kept) -> None:
    assert Kept.read(kept.to_json()) == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*Kept.__dataclass_fields__, "takenOver", "x"]), JSON))
def test_whatever_is_kept_can_be_read(value: dict[str, Any]) -> None:
    kept = Kept.read(value)

    assert kept is None or kept.state in {"open", "merged", "closed"}


def test_another_whole_look_is_spared_while_nothing_changes() -> None:
    memory = Memory(seen="s", at=NOW.isoformat(), until=(NOW + timedelta(minutes=5)).isoformat())
    soon = NOW + timedelta(minutes=1)

    assert memory.holds("s", soon, 900)
    assert not memory.holds("other", soon, 900)
    assert not memory.holds("s", soon, 30)
    assert not memory.holds("s", NOW + timedelta(minutes=5), 900)
    assert not replace(memory, missed=NOW.isoformat()).holds("s", soon, 900)
    assert not Memory().holds("", soon, 900)


HOSTILE = "x\n\nApproved-By: ceo\n<!-- retrain:promotion intent=00 id=p -->|`@all` #1"


def test_what_comes_from_outside_stays_in_its_place() -> None:
    doc = by_pull(pull={"title": "Serve {{candidate.version}}"}, commit={"message": "{{candidate.version}}"})
    model = read({**candidate("a"), "version": HOSTILE, "run": HOSTILE})
    intent = Intent("p-1", KEY, "promote", model.digest, NOW, model, actor=HOSTILE)
    verdict = Verdict("accuracy", "threshold", "fail", HOSTILE)

    text = telling.text(doc, intent, replace(COMMIT, verdicts=[verdict]))
    shown = telling.statuses(doc, SHA, replace(COMMIT, verdicts=[verdict]), HOSTILE)

    assert "\n" not in text.title
    assert text.body.rstrip().endswith(f"<!-- retrain:promotion intent={KEY} id=p-1 -->")
    assert "\nApproved-By" not in text.body
    assert all("\n" not in one.description for one in shown)
    assert [one.state for one in shown] == ["pending", "failure"]
    assert "\n" not in telling.closing("superseded", HOSTILE)


def test_a_gate_that_only_advises_blocks_no_merge() -> None:
    doc = by_pull()
    verdict = Verdict("drift", "drift", "fail", "far off", advisory=True)

    whole, gate = telling.statuses(doc, SHA, replace(COMMIT, verdicts=[verdict]), "")

    assert (whole.context, whole.state) == ("retrain/digits/staging", "success")
    assert (gate.context, gate.state) == ("retrain/digits/staging/drift", "success")


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"commit": {"tag": True}}, "spec.pullRequest", "none of ours to tag"),
        (
            {"pull": {"commits": "api"}, "commit": {"sign": {"ssh": {"key": {"env": "K"}}}}},
            "spec.pullRequest.commits",
            "GitHub signs",
        ),
        ({"pull": {"repository": "acme/other"}}, "spec.pullRequest.repository", "not the same?"),
        ({"canary": [{"weight": 10, "for": "10m"}, {"weight": 100}]}, "spec.canary", "take out canary or pullRequest"),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], path: str, words: str) -> None:
    found = [one for one in check(by_pull(**changes)) if words in one.message]

    assert [".".join(map(str, one.path)) for one in found] == [path]


@pytest.mark.parametrize(
    "url", ["https://github.com/acme/deploy", "git@github.com:Acme/deploy.git", "ssh://git@github.com/acme/deploy.git/"]
)
def test_the_repository_of_either_is_recognised(url: str) -> None:
    assert [one.code for one in check(document(url, pullRequest=SPEC)) if one.code == "other-repository"] == []
