"""The report's bytes and digest, what all gates come to, and asking those that gates need."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.candidate import read
from deploy.canonical import canonical, digest_of
from deploy.gates import KINDS, Built, Given, Measured, Verdict, gather_all, overall, report, written
from deploy.gates.answers import key_of
from deploy.gates.asking import ask_all
from deploy.gates.spec import Gate, build
from retrain.errors import ConfigError, Permanent, Transient
from tests.unit.gate_world import evidence, gate

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # RFC 8785, section 3.2.2 and appendix B
        (333333333.33333329, "333333333.3333333"),
        (1e30, "1e+30"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (0.000000000000000000000000001, "1e-27"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (1e21, "1e+21"),
        (999999999999999700000.0, "999999999999999700000"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (1.0, "1"),
        ('\u20ac$\u000f\nA\'B"\\\\"/', '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}, None),
        ([None, True, False, []], "[null,true,false,[]]"),
    ],
)
def test_json_is_written_as_the_rfc_has_it(value: Any, text: str | None) -> None:
    if text is None:
        keys = list(orjson.loads(canonical(value)))
        assert keys == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    else:
        assert canonical(value).decode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, {1: 2}, {"a": object()}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|float"):
        canonical(value)


@given(JSON)
def test_canonical_json_reads_back_and_the_order_of_keys_does_not_matter(value: Any) -> None:
    def shuffled(one: Any) -> Any:
        if isinstance(one, dict):
            keys = list(one)
            random.Random(1).shuffle(keys)
            return {key: shuffled(one[key]) for key in keys}
        return [shuffled(inner) for inner in one] if isinstance(one, list) else one

    try:
        body = canonical(value)
    except ValueError:
        return

    assert canonical(shuffled(value)) == body
    assert canonical(orjson.loads(body)) == body


VERDICTS = [
    Verdict("a", "threshold", "pass", "", {"value": 0.9}, evidence="sha256:e"),
    Verdict("b", "champion", "fail", "worse", {"p": 0.2, "ci": [0.1, 0.2]}),
    Verdict("c", "http", "pending", "asked", again=True),
]


def test_the_report_is_the_same_in_any_order_and_from_the_record() -> None:
    body, digest = report(VERDICTS)

    for order in itertools.permutations(VERDICTS):
        assert report(order) == (body, digest)
    kept = orjson.loads(orjson.dumps([verdict.to_dict() for verdict in VERDICTS]))
    assert written(kept) == (body, digest)
    assert digest.startswith("sha256:")
    assert report([*VERDICTS[:2], replace(VERDICTS[2], verdict="pass")])[1] != digest


OUTCOMES = st.sampled_from(["pass", "fail", "error", "pending", "skipped"])


@given(st.lists(st.tuples(OUTCOMES, st.booleans()), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_gates_does_not_matter_and_only_passes_pass(said: list[Any], chance: random.Random) -> None:
    verdicts = [Verdict(str(n), "k", outcome, "", advisory=advises) for n, (outcome, advises) in enumerate(said)]
    mixed = [*verdicts]
    chance.shuffle(mixed)

    assert overall(mixed) == overall(verdicts)
    decides = {verdict.verdict for verdict in verdicts if not verdict.advisory}
    assert (overall(verdicts) == "pass") == (decides <= {"pass", "skipped"})
    assert (overall(verdicts) == "fail") == ("fail" in decides)


NUMBER = st.floats(-10, 10)


@given(NUMBER, st.floats(0, 5), st.floats(-1, 1), st.sampled_from(["higher", "lower"]))
def test_a_better_candidate_never_turns_a_pass_into_a_fail(low: float, more: float, margin: float, way: Any) -> None:
    worse, better = (low, low + more) if way == "higher" else (low + more, low)
    live = Measured("sha256:live", {"m": 1.0}, "d1", "c1")
    slices = [{"all": {"n": 50, "metrics": {"m": value}, "champion": {"m": 1.0}}} for value in (worse, better)]
    least = {"min": margin} if way == "higher" else {"max": margin}
    for fields in (
        {"kind": "champion", "metric": "m", "minDelta": margin, "direction": way},
        {"kind": "threshold", "metric": "m", **least},
        {"kind": "threshold", "metric": "m", "tolerance": abs(margin), "direction": way},
        {"kind": "slices", "metric": "m", "maxRegression": abs(margin), "direction": way},
    ):
        first, second = (
            KINDS[fields["kind"]].judge(
                gate(**fields), evidence({"m": value}, champion=live, rescored=live, slices=part)
            )
            for value, part in zip((worse, better), slices, strict=True)
        )
        assert not (first.ok and not second.ok), fields


@given(st.sampled_from([None, "", "x", float("nan"), float("inf"), "-inf", True, [], {}]))
def test_what_is_no_figure_never_passes(bad: Any) -> None:
    live = Measured("sha256:live", {"m": 1.0}, "d1", "c1")
    about = evidence(
        {"m": bad},
        champion=live,
        latency={"p95": bad},
        slices={"s": {"n": 9, "metrics": {"m": bad}}},
        size={"bytes": bad},
    )
    for fields in (
        {"kind": "threshold", "metric": "m", "min": -1e9},
        {"kind": "champion", "metric": "m", "minDelta": -1e9},
        {"kind": "slices", "metric": "m", "min": -1e9},
        {"kind": "budget", "p95": 1e9},
        {"kind": "budget", "bytes": 10**9},
        {"kind": "expr", "expression": "metrics.m > -1000000000"},
    ):
        found = KINDS[fields["kind"]].judge(gate(**fields), about)
        assert found.verdict in {"fail", "error"}, found


class Tools:
    """What gates ask with, as a memory: `answer` is what is posted back, or raised."""

    scratch = Path("/nowhere")

    def __init__(self, answer: Any = b'{"verdict": "pass"}') -> None:
        self.answer = answer
        self.asked = 0
        self.kept: dict[str, Any] = {}

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, most: int) -> bytes:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def recall(self, key: str) -> Any:
        return self.kept.get(key)

    async def keep(self, key: str, answer: Any) -> None:
        self.kept[key] = answer


ASK = Built("g", "http", KINDS["http"], gate("http", url="https://judge.example.com/"))


async def asked(tools: Any, about: Any = None, gates: Any = (ASK,)) -> Verdict:
    about = about or evidence({"accuracy": 0.9})
    gathered = await gather_all(gates, about, tools)
    return ask_all(gates, replace(about, given=Given(gathered)))[0]


@pytest.mark.parametrize(
    ("answer", "verdict", "again"),
    [
        (b'{"verdict": "pass", "reason": "fine", "figures": {"n": 3}}', "pass", False),
        (b'{"verdict": "fail"}', "fail", False),
        (b'{"verdict": "skipped"}', "skipped", False),
        (b'{"verdict": "pending"}', "pending", True),
        (b'{"verdict": "error", "reason": "my database"}', "error", True),
        (b'{"verdict": "PASS"}', "error", False),
        (b'{"verdict": true}', "error", False),
        (b'{"verdict": "pass", "figures": [1]}', "error", False),
        (b'{"verdict": "pass", "reason": 7}', "error", False),
        (b"[]", "error", True),
        (b"<html>", "error", True),
        (Transient("nobody there"), "error", True),
        (Permanent("closed"), "error", False),
        (ConfigError("no such secret"), "error", False),
        (KeyError("oops"), "error", False),
    ],
)
async def test_what_a_service_says_is_a_verdict_or_an_error(answer: Any, verdict: str, again: bool) -> None:
    found = await asked(Tools(answer))

    assert (found.verdict, found.again) == (verdict, again), found.reason


async def test_an_answer_is_asked_for_once_and_only_good_for_its_gate_and_evidence() -> None:
    tools, about = Tools(), evidence({"accuracy": 0.9})

    assert (await asked(tools, about)).verdict == "pass"
    assert (await asked(tools, about)).verdict == "pass"
    assert tools.asked == 1

    gathered = await gather_all([ASK], about, tools)
    other = evidence({"accuracy": 0.9}, champion=Measured("sha256:newer", {}, "d1"), given=Given(gathered))
    found = KINDS["http"].judge(ASK.spec, other)
    assert (found.verdict, found.again) == ("pending", True)
    assert KINDS["http"].judge(ASK.spec, about).verdict == "pending"
    assert (await asked(tools, replace(other, given=Given()))).verdict == "pass"
    assert tools.asked == 2


async def test_trouble_is_not_kept_and_stays_with_its_gate() -> None:
    away, about = Tools(Transient("nobody there")), evidence({"accuracy": 0.9})
    fine = build([parsed(name="t", kind="threshold", metric="accuracy", min=0.5)])[0]

    gathered = await gather_all([ASK, fine], about, away)
    said = ask_all([ASK, fine], replace(about, given=Given(gathered)))

    assert [one.verdict for one in said] == ["error", "pass"]
    assert away.kept == {}
    away.answer = b'{"verdict": "pass"}'
    assert (await asked(away, about)).verdict == "pass"


async def test_an_answer_that_is_too_long_is_not_kept() -> None:
    tools = Tools(b'{"verdict": "pass", "figures": {"x": "' + b"x" * 300_000 + b'"}}')

    assert (await asked(tools)).verdict == "error"
    assert tools.kept == {}


def test_a_verdict_that_runs_out_is_asked_for_again() -> None:
    spec = gate("http", url="https://x/", validFor="1h")
    first = evidence({"a": 1})
    assert first.now is not None

    keys = {key_of(spec, replace(first, now=first.now.replace(hour=hour))) for hour in (12, 12, 13)}

    assert len(keys) == 2
    assert key_of(gate("http", url="https://x/"), first) not in keys


def parsed(**fields: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Gate).validate_python(fields)


def test_advisory_goes_with_every_kind_and_alone_is_warned_of() -> None:
    from deploy.gates.spec import check

    only = [parsed(name="t", kind="threshold", metric="a", min=1, advisory=True)]

    assert build(only)[0].advisory
    assert [(one.code, one.severity) for one in check(only)] == [("no-gates", "warning")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "latency"}, "did you mean 'budget'"),
        ({"kind": "tresholdd"}, "did you mean 'threshold'"),
        ({"kind": "approval"}, "approvals"),
        ({"kind": "attestation"}, "not built yet"),
        ({"kind": "budget", "p95": 1, "of": "loads"}, "no infra gate is named 'loads'"),
    ],
)
def test_a_gate_that_nobody_has_is_refused_by_name(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build([parsed(name="g", **fields)])


DIGEST = f"sha256:{'a' * 64}"


def test_a_candidate_says_all_that_gates_judge_by_and_text_is_read_as_json() -> None:
    about = read(
        {
            "digest": DIGEST,
            "uri": "s3://models/1",
            "evaluation": {
                "dataset": "d1",
                "code": "c1",
                "metrics": '{"accuracy": 0.9}',
                "champion": {"digest": DIGEST, "metrics": {"accuracy": 0.8}, "signature": '{"inputs": []}'},
                "samples": "100",
                "examples": '{"id": [1], "label": [1]}',
                "slices": '{"eu": {"n": 3, "metrics": {"accuracy": 1}}}',
                "curves": {"roc": {"x": [0, 1], "y": [0, 1]}},
                "latency": {"p95": 3},
                "size": {"bytes": 10},
                "features": {"age": {}},
                "signature": {"inputs": []},
                "dataTime": "2026-11-20T00:00:00Z",
            },
        }
    )

    facts = about.facts
    assert (facts.samples, facts.slices["eu"]["n"], facts.latency) == (100, 3, {"p95": 3})
    assert facts.data_time is not None
    assert facts.examples_digest == digest_of({"id": [1], "label": [1]})
    assert about.with_table(Given()).examples is not None
    assert (about.measured.code, about.rescored and about.rescored.signature) == ("c1", {"inputs": []})
    assert read(about.model_dump(mode="json")) == about


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        ({"examples": {"uri": "s3://x/t.json"}}, "digest"),
        ({"examples": {"uri": "s3://x y", "digest": DIGEST}}, "white space"),
        ({"examples": {"id": ["x" * 2_000_000]}}, "more lies in an artifact"),
        ({"signature": {"inputs": "x" * 70_000}}, "65536"),
        ({"dataTime": "2026-11-20T00:00:00"}, "timezone"),
        ({"slices": {"eu": {"metrics": {}}}}, "slices.eu.n"),
        ({"latencies": {}}, "latencies"),
    ],
)
def test_a_candidate_with_a_wrong_evaluation_is_refused(evaluation: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read({"digest": DIGEST, "uri": "s3://models/1", "evaluation": evaluation})


async def test_a_plugins_gate_may_ask_and_what_breaks_in_it_stays_there() -> None:
    from pydantic import BaseModel

    from deploy.gates.answers import answered, done

    class Asks:
        class Spec(BaseModel):
            name: str
            kind: str

        @staticmethod
        async def gather(spec: Any, about: Any, tools: Any) -> Any:
            return done(colour="red") if spec.kind == "fine" else None

        @staticmethod
        def judge(spec: Any, about: Any) -> Verdict:
            answer = answered(spec, about)
            return answer if isinstance(answer, Verdict) else Verdict("", "", "pass", str(answer["colour"]))

    gates = [Built(kind, kind, Asks, Asks.Spec(name=kind, kind=kind)) for kind in ("fine", "odd")]
    about = evidence({"accuracy": 0.9})
    gathered = await gather_all(gates, about, Tools())

    fine, odd = ask_all(gates, replace(about, given=Given(gathered)))

    assert (fine.name, fine.verdict, fine.reason) == ("fine", "pass", "red")
    assert (odd.verdict, "crashed" in odd.reason) == ("error", True)
