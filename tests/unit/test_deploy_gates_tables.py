"""Gates over the table of examples, over features and over signatures; and what a table must be."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from deploy.gates import Given, Measured, distances
from deploy.gates import examples as tables
from retrain.errors import ConfigError
from tests.unit.gate_world import LIVE, ask, evidence, table

# --- calibration -----------------------------------------------------------------------------------------------------

CALIBRATED = table(label=[1] * 8 + [0] * 2, candidateScore=[0.8] * 10)
SURE = table(label=[1, 0] * 5, candidateScore=[1.0] * 10)


@pytest.mark.parametrize(
    ("examples", "fields", "verdict"),
    [
        (CALIBRATED, {"maxEce": 0}, "pass"),
        (CALIBRATED, {"maxBrier": 0.16}, "pass"),
        (CALIBRATED, {"maxBrier": 0.159}, "fail"),
        (SURE, {"maxEce": 0.5, "maxBrier": 0.5}, "pass"),
        (SURE, {"maxEce": 0.49}, "fail"),
        (SURE, {"maxEce": 1, "minSamples": 11}, "fail"),
        (SURE, {"maxEce": 1, "positive": "yes"}, "error"),
        (table(label=["yes", "no"], candidateScore=[1, 0]), {"maxEce": 0, "positive": "yes"}, "pass"),
        (table(label=[True, False], candidateScore=[1, 0]), {"maxEce": 0}, "pass"),
        (table(label=[1, 0]), {"maxEce": 1}, "error"),
        (table(candidateScore=[1, 0]), {"maxEce": 1}, "error"),
        (None, {"maxEce": 1}, "error"),
    ],
)
def test_a_probability_means_what_it_says(examples: Any, fields: dict[str, Any], verdict: str) -> None:
    assert ask("calibration", evidence(table=examples), **fields).verdict == verdict


# --- fairness --------------------------------------------------------------------------------------------------------

GROUPS = {"sex": ["f"] * 10 + ["m"] * 10 + ["x"]}
SAID = [1] * 4 + [0] * 6 + [1] * 5 + [0] * 5 + [1]
TRUE = [1] * 8 + [0] * 2 + [1] * 5 + [0] * 5 + [1]
PEOPLE = table(candidate=SAID, label=TRUE, groups=GROUPS)


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({"maxDifference": 0.1}, "pass"),
        ({"maxDifference": 0.09}, "fail"),
        ({"minRatio": 0.8}, "pass"),
        ({"minRatio": 0.81}, "fail"),
        ({"rate": "truePositiveRate", "maxDifference": 0.5, "minSamples": 5}, "pass"),
        ({"rate": "truePositiveRate", "maxDifference": 0.49, "minSamples": 5}, "fail"),
        ({"rate": "falsePositiveRate", "maxDifference": 0, "minSamples": 2}, "pass"),
        ({"rate": "truePositiveRate", "maxDifference": 1, "minSamples": 6}, "error"),
        ({"maxDifference": 1, "minSamples": 11}, "error"),
        ({"maxDifference": 1, "group": "age"}, "error"),
        ({"maxDifference": 0, "positive": 7}, "pass"),
    ],
)
def test_groups_are_treated_alike(fields: dict[str, Any], verdict: str) -> None:
    found = ask("fairness", evidence(table=PEOPLE), **{"group": "sex", "minSamples": 10, **fields})

    assert found.verdict == verdict, found.reason


def test_fairness_without_its_columns_is_an_error() -> None:
    fields = {"group": "sex", "maxDifference": 1, "rate": "truePositiveRate"}

    assert ask("fairness", evidence(), **fields).verdict == "error"
    assert "'label'" in ask("fairness", evidence(table=table(candidate=[1], groups={"sex": ["f"]})), **fields).reason


# --- drift -----------------------------------------------------------------------------------------------------------

SPREAD = [float(x) for x in range(100)]
HISTOGRAM = {"edges": [0, 1, 2], "counts": [50, 50]}
FEATURES: dict[str, Any] = {
    "same": {"now": {"values": SPREAD}, "reference": {"values": SPREAD}},
    "moved": {"now": {"values": [x + 50 for x in SPREAD]}, "reference": {"values": SPREAD}},
    "bins": {"now": {"edges": [0, 1, 2], "counts": [60, 40]}, "reference": HISTOGRAM},
    "kinds": {"now": {"counts": {"red": 5, "blue": 5}}, "reference": {"counts": {"red": 50, "green": 50}}},
    "mixed": {"now": {"values": SPREAD}, "reference": HISTOGRAM},
    "other bins": {"now": {"edges": [0, 1, 3], "counts": [1, 1]}, "reference": HISTOGRAM},
    "odd": {"now": {"values": [1, "x"]}, "reference": {"values": SPREAD}},
    "empty": {"now": {"edges": [0, 1, 2], "counts": [0, 0]}, "reference": HISTOGRAM},
    "infinite": {"now": {"values": [float("nan")]}, "reference": {"values": SPREAD}},
    "huge": {"now": {"edges": [0, 1, 2], "counts": [1]}, "reference": HISTOGRAM},
    "half": {"now": {"values": SPREAD}},
}


@pytest.mark.parametrize(
    ("features", "fields", "verdict"),
    [
        (["same"], {"maxPsi": 0, "maxKs": 0, "minP": 0.99}, "pass"),
        (["moved"], {"maxPsi": 0.2}, "fail"),
        (["moved"], {"maxKs": 0.5}, "pass"),
        (["moved"], {"maxKs": 0.49}, "fail"),
        (["moved"], {"minP": 0.01}, "fail"),
        (["bins"], {"maxPsi": 0.05, "maxKs": 0.1000001}, "pass"),
        (["bins"], {"maxPsi": 0.03}, "fail"),
        (["kinds"], {"maxPsi": 0.2}, "fail"),
        (["kinds"], {"maxKs": 1}, "error"),
        (["same", "moved"], {"maxPsi": 0.2, "maxDrifted": 1}, "pass"),
        (["same", "moved"], {"maxPsi": 0.2}, "fail"),
        *(([name], {"maxPsi": 9}, "error") for name in ("mixed", "other bins", "odd", "empty", "infinite", "huge")),
        (["half"], {"maxPsi": 9}, "error"),
        (["nobody"], {"maxPsi": 9}, "error"),
        (["same", "nobody"], {"maxPsi": 9, "maxDrifted": 2}, "error"),
    ],
)
def test_features_are_held_to_their_reference(features: list[str], fields: Any, verdict: str) -> None:
    found = ask("drift", evidence(features=FEATURES), features=features, **fields)

    assert found.verdict == verdict, found.reason


def test_the_distances_are_those_of_the_books() -> None:
    stats = pytest.importorskip("scipy.stats")
    one = [float((7 * x) % 31) for x in range(60)]
    other = [float((5 * x) % 37) for x in range(80)]

    found = stats.ks_2samp(one, other, method="asymp")

    assert distances.ks(one, other) == pytest.approx(found.statistic, abs=1e-12)
    # Ours is corrected for the size of the samples, scipy's limit is not.
    assert distances.ks_chance(found.statistic, 60, 80) == pytest.approx(found.pvalue, abs=0.1)
    assert distances.psi([60, 40], [50, 50]) == pytest.approx(0.0405, abs=1e-4)


# --- schema ----------------------------------------------------------------------------------------------------------


def signature(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """As MLflow writes it: JSON in JSON."""
    said = outputs if outputs is not None else [{"type": "long", "name": "digit"}]
    return {"inputs": orjson.dumps(inputs).decode(), "outputs": orjson.dumps(said).decode(), "params": None}


def column(name: str, kind: str = "double", **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, **more}


TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 64]}}]
OLD = signature([column("x"), column("y", "integer", required=False)])


@pytest.mark.parametrize(
    ("new", "backward", "exact"),
    [
        (OLD, "pass", "pass"),
        (signature([column("x"), column("y", "integer", required=False), column("z")]), "fail", "fail"),
        (signature([column("x"), column("y", "integer", required=False), column("z", required=False)]), "pass", "fail"),
        (signature([column("x")]), "pass", "fail"),
        (signature([column("x", "float")]), "fail", "fail"),
        (signature([column("x"), column("y", "long", required=False)]), "pass", "fail"),
        (signature([column("x"), column("y", "integer")]), "fail", "fail"),
        (signature([column("x")], [column("digit", "integer")]), "pass", "fail"),
        (signature([column("x")], [column("digit", "string")]), "fail", "fail"),
        (signature([column("x")], []), "fail", "fail"),
        (signature(TENSOR), "fail", "fail"),
        ({"inputs": "x"}, "error", "error"),
        ({"inputs": [{"name": "x"}]}, "error", "error"),
        ({"inputs": [column("x"), column("x")]}, "error", "error"),
        ("text", "error", "error"),
        (None, "fail", "fail"),
    ],
)
def test_callers_of_the_live_model_can_call_the_candidate(new: Any, backward: str, exact: str) -> None:
    live = Measured("sha256:live", {}, signature=OLD)
    about = evidence(champion=live)
    about = type(about)(Measured("sha256:new", {}, signature=new), live)

    assert ask("schema", about).verdict == backward
    assert ask("schema", about, compatibility="exact").verdict == exact


def test_a_tensor_is_compared_with_its_shape_and_a_signature_may_come_from_the_run() -> None:
    new = Measured("sha256:new", {}, signature=signature(TENSOR))
    rescored = Measured("sha256:live", {}, signature=signature(TENSOR))
    about = type(evidence())(new, LIVE, rescored=rescored)

    assert ask("schema", about).verdict == "pass"
    assert ask("schema", type(about)(new, LIVE)).verdict == "error"
    assert ask("schema", type(about)(new)).verdict == "fail"
    assert ask("schema", type(about)(new), onNoChampion="pass").verdict == "pass"
    assert ask("schema", type(about)(new, None, "by hand")).verdict == "error"


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[]", "is empty"),
        ("7", "object of columns"),
        ("{", "no JSON"),
        ('{"label": [1]}', "needs a column 'id'"),
        ('{"id": [1, 1]}', "twice"),
        ('{"id": [1.5]}', "text or a whole number"),
        ('{"id": [1, 2], "label": [1]}', "as long as 'id'"),
        ('{"id": [1], "label": [null]}', "row 0"),
        ('{"id": [1], "candidateScore": [1.1]}', "from 0 to 1"),
        ('{"id": [1], "candidateLoss": ["x"]}', "finite number"),
        ('{"id": [1], "candidateLoss": [true]}', "finite number"),
        ('{"id": [1], "guess": [1]}', "'guess'"),
        ('{"id": [1], "groups": []}', None),
        ('{"id": [1], "groups": [1]}', "object of columns"),
        ('{"id": [1], "groups": {"sex": [[]]}}', "groups.sex"),
        ('[{"id": 1, "label": 1}, {"id": 2}]', "'label'"),
        ("[1]", "rows"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_place(body: str, words: str | None) -> None:
    if words is None:
        assert len(tables.parse(body.encode(), "sha256:t")) == 1
        return
    with pytest.raises(ConfigError, match=words):
        tables.parse(body.encode(), "sha256:t")


def test_rows_are_the_same_table_as_columns() -> None:
    rows = [{"id": "a", "label": 1, "groups": {"sex": "f"}}, {"id": "b", "label": 0, "groups": {"sex": "m"}}]
    columns = {"id": ["a", "b"], "label": [1, 0], "groups": {"sex": ["f", "m"]}}

    assert tables.build(rows, "sha256:t") == tables.build(columns, "sha256:t")  # type: ignore[arg-type]


def test_a_table_that_could_not_be_read_is_why_gates_cannot_judge() -> None:
    about = evidence({"accuracy": 1}, given=Given(examples_problem="the store is away"), rescored=LIVE)

    for kind, fields in (
        ("champion", {"metric": "accuracy", "test": "bootstrap"}),
        ("calibration", {"maxEce": 1}),
        ("fairness", {"group": "g", "maxDifference": 1}),
    ):
        found = ask(kind, about, **fields)
        assert (found.verdict, "the store is away" in found.reason) == ("error", True)
