"""From findings and times to a verdict, and whom to ask when; and what users may write of checks."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from deploy.rollout import asking, judge, spec
from deploy.rollout.check import Finding
from deploy.rollout.judge import Looked
from deploy.rollout.spec import Built, Check
from retrain.errors import ConfigError
from tests.unit.rollout_world import NOW, subject

FOLLOWING, SMOKE, SLOW = "synced", "smoke", "metrics"


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def built(name: str, *, follows: bool = False, every: float = 5, delay: float = 0) -> Built:
    return Built(name, "k", SimpleNamespace(), None, seconds(every), follows, seconds(delay))


CHECKS = [built(FOLLOWING, follows=True), built(SMOKE), built(SLOW, every=30, delay=20)]


def fresh(within: float = 900) -> Looked:
    return Looked(NOW, NOW + seconds(within), NOW)


def look(looked: Looked, at: float, checks: list[Built] = CHECKS, **found: Finding) -> Looked:
    return judge.learn(checks, looked, found, NOW + seconds(at))


def names(looked: Looked, at: float, checks: list[Built] = CHECKS) -> list[str]:
    return [one.name for one in judge.due(checks, looked, NOW + seconds(at))]


def says(verdict: Any, reason: str = "why", **more: Any) -> Finding:
    return Finding(verdict, reason, **more)


def outcome(looked: Looked, at: float, checks: list[Built] = CHECKS) -> str:
    return judge.conclude(checks, looked, NOW + seconds(at)).outcome


def test_what_says_that_the_cluster_follows_is_asked_first_and_the_others_after_it() -> None:
    one = look(fresh(), 1, synced=says("pending"))
    two = look(one, 6, synced=says("pass"))

    assert names(fresh(), 0) == [FOLLOWING]
    assert names(one, 2) == []
    assert names(one, 6) == [FOLLOWING]
    assert names(two, 6) == [SMOKE]
    assert names(two, 26) == [FOLLOWING, SMOKE, SLOW]


def test_without_such_a_check_all_are_asked_at_once() -> None:
    assert names(fresh(), 0, [built("a"), built("b")]) == ["a", "b"]


def test_what_is_over_is_asked_no_more_and_what_follows_is_asked_to_the_end() -> None:
    looked = look(fresh(), 1, synced=says("pass"))
    looked = look(looked, 2, smoke=says("pass", over=True))

    assert names(looked, 30) == [FOLLOWING, SLOW]


def test_trouble_makes_the_pauses_longer_and_ends_with_it() -> None:
    looked, pauses, at = fresh(), [], 0.0
    for _ in range(6):
        looked = look(looked, at, synced=says("error"))
        upcoming = judge.upcoming(CHECKS, looked, NOW + seconds(at))
        pauses.append((upcoming - NOW).total_seconds() - at)
        at = (upcoming - NOW).total_seconds()

    assert pauses == [10, 20, 40, 60, 60, 60]
    assert look(looked, at, synced=says("pending")).notes[FOLLOWING].troubles == 0


def test_all_must_pass_at_the_same_time() -> None:
    looked = look(fresh(), 1, synced=says("pass"))
    looked = look(looked, 2, smoke=says("pass", over=True), metrics=says("pass", over=True))
    broken = look(looked, 6, synced=says("pending", "Progressing"))

    assert outcome(looked, 2) == "passed"
    assert judge.conclude(CHECKS, broken, NOW + seconds(6)).reason == "synced: Progressing"


def test_one_failure_is_enough_and_beats_everything() -> None:
    looked = look(fresh(1), 2, synced=says("error", over=True), smoke=says("fail", "wrong"), metrics=says("pass"))

    verified = judge.conclude(CHECKS, looked, NOW + seconds(2))

    assert (verified.outcome, verified.reason) == ("failed", "smoke: wrong")


def test_an_error_is_no_failure_and_only_one_for_good_ends_it() -> None:
    assert outcome(look(fresh(), 1, synced=says("error")), 1) == "pending"
    assert outcome(look(fresh(), 1, synced=says("error", over=True)), 1) == "error"


def test_at_the_end_it_is_said_what_was_missing() -> None:
    looked = look(fresh(60), 60, synced=says("pending", "OutOfSync at abc"))

    verified = judge.conclude(CHECKS, looked, NOW + seconds(60))

    assert verified.outcome == "timeout"
    assert verified.reason.startswith(
        "not verified within 1m: synced: OutOfSync at abc; smoke: waits until the cluster"
    )


def test_where_nothing_could_be_seen_at_the_end_it_is_an_error() -> None:
    looked = look(fresh(60), 60, [built("a")], a=says("error", "no connection"))

    assert outcome(looked, 60, [built("a")]) == "error"


def test_in_the_end_everything_is_asked_once_more() -> None:
    looked = look(fresh(60), 59, synced=says("pending"))

    assert judge.upcoming(CHECKS, looked, NOW + seconds(59)) == NOW + seconds(60)
    assert names(looked, 60) == [FOLLOWING]


def test_what_is_stored_is_what_is_read() -> None:
    looked = look(fresh(), 1, synced=says("pass", memory={"good": "x"}, figures={"n": 1}), smoke=says("error"))
    verified = judge.conclude(CHECKS, looked, NOW + seconds(1))

    stored = orjson.loads(orjson.dumps(judge.write(looked, verified, NOW + seconds(6))))

    assert judge.read(stored, NOW + seconds(6)) == looked
    assert stored["checks"][0] == {
        "name": "synced",
        "kind": "k",
        "verdict": "pass",
        "reason": "why",
        "figures": {"n": 1},
    }


def test_what_is_over_keeps_no_memory() -> None:
    looked = look(fresh(), 1, [built("a")], a=says("pass", memory={"private": 1}))
    verified = judge.conclude([built("a")], looked, NOW)

    assert cast("dict[str, Any]", judge.write(looked, verified, NOW))["memory"] == {}


def target(verify: Any, within: Any) -> Any:
    """A Promotion to one environment, as far as it matters."""
    return SimpleNamespace(spec=SimpleNamespace(verify=verify, verifyWithin=within))


def test_time_in_which_nobody_was_there_does_not_count() -> None:
    begun = judge.begin(target((1,), seconds(600)), NOW)

    assert judge.read(begun, NOW + seconds(10)).until == NOW + seconds(600)
    assert judge.read(begun, NOW + seconds(3600)).until == NOW + seconds(600 + 3600)


def test_nothing_begins_where_nothing_is_verified() -> None:
    assert judge.begin(target((), None), NOW) is None


def test_a_check_that_has_become_another_kind_begins_anew() -> None:
    looked = look(fresh(), 1, synced=says("pass", memory={"a": 1}))
    changed = [Built(FOLLOWING, "other", SimpleNamespace(), None, seconds(5), follows=True)]

    assert judge.learn(changed, looked, {}, NOW).notes == {}


SAID = st.sampled_from(["pass", "fail", "error", "pending"])


@given(
    steps=st.lists(st.tuples(st.lists(SAID, min_size=3, max_size=3), st.lists(st.booleans(), min_size=3, max_size=3))),
    late=st.booleans(),
)
def test_the_verdict_follows_from_the_last_words_alone(steps: list[tuple[list[Any], list[bool]]], late: bool) -> None:
    checks = [built("a", follows=True), built("b"), built("c")]
    looked, at = fresh(1000 if late else 10**6), 0.0
    for words, over in steps:
        at += 400
        found = {c.name: Finding(w, w, over=o) for c, w, o in zip(checks, words, over, strict=True)}
        looked = judge.learn(checks, looked, found, NOW + seconds(at))

    said = outcome(looked, at, checks)

    last, overs = steps[-1] if steps else (["pending"] * 3, [False] * 3)
    hopeless = any(w == "error" and o for w, o in zip(last, overs, strict=True))
    if "fail" in last:
        assert said == "failed"
    elif hopeless:
        assert said == "error"
    elif set(last) == {"pass"}:
        assert said == "passed"
    else:
        assert said == "pending" if not (late and at >= 1000) else said in {"timeout", "error"}


@given(at=st.floats(0, 5000), asked=st.floats(0, 1000), verdict=SAID)
def test_the_next_look_is_never_past_and_never_after_the_end(at: float, asked: float, verdict: Any) -> None:
    looked = look(fresh(), asked, synced=says(verdict))
    now: datetime = NOW + seconds(at)

    upcoming = judge.upcoming(CHECKS, looked, now)

    assert now <= upcoming <= max(now, looked.until)


# --- asking ---------------------------------------------------------------------------------------------------------


async def test_a_check_that_breaks_is_in_error_and_nothing_else_is() -> None:
    async def ask(*_: Any) -> Any:
        raise KeyError("x")

    kind = SimpleNamespace(ask=ask, judge=str.format)
    broken = Built("a", "k", kind, "no finding", seconds(5))
    kept: Any = {"n": 1}

    answer = await asking.ask(broken, subject(), kept, cast("Any", None))

    assert isinstance(answer, Finding)
    assert (answer.verdict, answer.memory) == ("error", kept)
    assert "KeyError" in answer.reason
    assert "no Finding but a str" in asking.judge(broken, subject(), {}, kept, NOW).reason


# --- what users write -----------------------------------------------------------------------------------------------


def checks(*bodies: dict[str, Any], context: Any = None) -> list[Check]:
    return [TypeAdapter[Check](Check).validate_python(body, context=context) for body in bodies]


def codes(*bodies: dict[str, Any], within: timedelta | None = None, context: Any = None) -> list[str]:
    return [one.code for one in spec.check(checks(*bodies, context=context), within, ("spec",))]


SYNCED = {"name": "synced", "kind": "argocd", "application": "digits"}
ASKED = {"name": "smoke", "kind": "http", "url": "http://digits"}


def test_what_cannot_be_is_told() -> None:
    slow = {"name": "m", "kind": "prometheus", "url": "http://p", "query": "up", "for": "15m", "max": 1}

    assert codes(SYNCED, ASKED) == []
    assert codes(SYNCED, SYNCED) == ["duplicate-name"]
    assert codes(SYNCED, slow) == ["verify-too-short"]
    assert codes(SYNCED, slow, within=timedelta(minutes=30)) == []
    assert codes(within=timedelta(minutes=30)) == ["unused-field"]


def test_who_asks_the_model_before_is_warned() -> None:
    assert codes(ASKED) == ["verify-blind"]
    assert codes({**ASKED, "url": "http://digits/{{candidate.version}}"}) == []
    assert codes({**ASKED, "expect": "body.version == candidate.version"}) == []


@pytest.mark.parametrize(("kind", "near"), [("argcd", "argocd"), ("smoke", "http"), ("promethius", "prometheus")])
def test_an_unknown_kind_is_refused_with_the_nearest(kind: str, near: str) -> None:
    (problem,) = [p for p in spec.check(checks({"name": "a", "kind": kind}), None, ()) if p.severity == "error"]

    assert f"check kind '{kind}' is not known; did you mean '{near}'?" in problem.message
    with pytest.raises(ConfigError):
        spec.build(checks({"name": "a", "kind": kind}))


def test_a_field_that_a_kind_does_not_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="applcation"):
        checks({"name": "a", "kind": "argocd", "applcation": "x"})


def test_a_plugins_kind_is_asked_like_our_own() -> None:
    class Mine(BaseModel):
        name: str
        kind: str
        depth: int

    kind = SimpleNamespace(Spec=Mine, ask=None, judge=None, FOLLOWS=True)
    context = SimpleNamespace(checks={"mine": kind})

    (one,) = spec.build(checks({"name": "a", "kind": "mine", "depth": 3, "every": "7s"}, context=context))

    assert (one.kind, one.spec.depth, one.every, one.follows) == (kind, 3, seconds(7), True)
    assert codes({"name": "a", "kind": "mine", "depth": "x"}, context=context) == ["wrong-type"]
