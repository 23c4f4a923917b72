"""What was live when, told from promotions and deeds; and the pictures that show it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from retrain.app.looking import flow_picture
from retrain.app.looking.flow_picture import Stage, shares
from retrain.app.promotions import gate_pictures
from retrain.app.promotions import pictures as model_pictures
from retrain.app.promotions.history import figures, holds, metric_names, moments, refused, spans, version_of
from retrain.store.audit import Deed
from retrain.store.promotion_history import PastRow

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    return BEGIN + timedelta(hours=hours)


def row(number: int, hours: float, state: str = "committed", *, of: int | None = None, **more: Any) -> PastRow:
    """A promotion of model `number`, or with `of` the rollback of that one."""
    digest = number if of is None else of
    fields: dict[str, Any] = {
        "id": f"p-{number}",
        "name": "orders",
        "environment": "production",
        "state": state,
        "action": "promote" if of is None else "rollback",
        "candidate": {"digest": f"sha256:{digest}", "uri": f"s3://models/{digest}", "metrics": {"auc": digest / 100}},
        "commit_sha": f"{number:040x}",
        "reason": "",
        "actor": "",
        "run_id": None,
        "created": at(hours),
        "updated": at(hours),
        "ended": at(hours),
        "step": 0,
        "verification": None,
    }
    return PastRow(**{**fields, **more})


def deed(hours: float, verb: str) -> Deed:
    return Deed(at(hours), "eve", True, f"promotions.{verb}", "orders/production", reason="why")


def test_a_rollback_brings_back_what_was_live_before() -> None:
    rows = [row(1, 1), row(2, 2, "rolled-back"), row(3, 3, of=2), row(4, 4)]

    found = spans(rows)

    assert [(one.row.id, one.back, one.taken_back) for one in found] == [
        ("p-1", False, False),
        ("p-2", False, True),
        ("p-1", True, False),
        ("p-4", False, False),
    ]
    assert [(one.begin, one.end) for one in found] == [(at(n), at(n + 1) if n < 4 else None) for n in (1, 2, 3, 4)]


def test_two_rollbacks_go_back_two_models_and_one_of_the_first_to_nothing() -> None:
    rows = [row(1, 1), row(2, 2, "rolled-back"), row(3, 3, "rolled-back"), row(4, 4, of=3), row(5, 5, of=2)]

    assert spans(rows)[-1].row.id == "p-1"
    assert spans([row(1, 1, "rolled-back"), row(2, 2, of=1)])[-1].end == at(2)


@given(st.lists(st.tuples(st.floats(0, 99), st.sampled_from(["live", "rolled-back", "refused", "noop", "unhealthy"]))))
def test_what_was_live_never_overlaps_and_only_the_last_is_open(given_: list[tuple[float, str]]) -> None:
    rows = [row(n, hours, state, of=n - 1 if n % 3 == 2 else None) for n, (hours, state) in enumerate(given_)]

    found = spans(rows)

    assert all(one.end is not None and one.end <= after.begin for one, after in pairwise(found))
    assert all(one.row.state in {"live", "rolled-back", "unhealthy"} for one in found)


def test_what_happened_names_refusals_and_what_was_unhealthy() -> None:
    sick = row(2, 2, "unhealthy", verification={"outcome": "failed", "at": at(3).isoformat(), "reason": "errors"})
    rows = [row(1, 1), sick, row(3, 4, "refused", reason="good: 0.8"), row(4, 5, "noop")]

    found = moments(rows, [deed(6, "hold"), deed(7, "release"), deed(8, "approve")])

    said = [one.what for one in found]
    assert said == ["release", "hold", "refused", "unhealthy", "live", "live"]
    assert spans(rows)[1].sick
    assert [one.id for one in refused(rows, 5)] == ["p-3"]


def test_a_hold_lasts_from_the_first_to_the_release() -> None:
    deeds = [deed(1, "rollback"), deed(2, "hold"), deed(3, "release"), deed(5, "hold")]

    assert holds(deeds, at(9)) == [(at(1), at(3)), (at(5), at(9))]


def test_figures_are_numbers_of_the_evaluation_first() -> None:
    assert figures({"metrics": {"a": "0.5", "b": "x", "c": float("nan"), "d": True}}) == {"a": 0.5}
    assert figures({"metrics": {"a": 1}, "evaluation": {"metrics": {"a": 2}}}) == {"a": 2.0}
    assert metric_names([row(1, 1)], ["none", "auc"]) == ["auc"]
    assert version_of({"uri": "s3://m/orders/41?x=1"}) == "41"
    assert version_of({"version": "v7", "uri": "s3://m/1"}) == "v7"
    assert version_of({"digest": "sha256:abcdef"}) == "abcdef"


@given(st.text(), st.text(), st.floats(0, 1))
def test_the_picture_of_a_history_is_svg_whatever_names_say(name: str, version: str, value: float) -> None:
    span = {"from": at(1).isoformat(), "to": None, "back": False, "takenBack": True, "unhealthy": True}
    moment = {"at": at(2).isoformat(), "what": "hold", "reason": version}
    lane = {
        "environment": name,
        "spans": [{**span, "version": version, "metrics": {name: value}}],
        "moments": [moment],
        "held": [{"from": at(2).isoformat(), "to": at(3).isoformat()}],
    }

    drawn = model_pictures.svg({"name": name, "metric": name, "environments": [lane]}, at(9))

    assert drawn is not None
    ElementTree.fromstring(drawn)
    assert model_pictures.svg({"name": name, "metric": "", "environments": []}, at(9)) is None


@given(st.dictionaries(st.text(), st.integers(0, 10**9), max_size=12), st.text())
def test_the_flow_is_svg_and_every_count_leads_somewhere(counts: dict[str, int], name: str) -> None:
    listed = shares(counts, lambda word: f"/ui/runs?phase={word}")
    stages = [Stage(name, 3, "3", "/ui/events", over=[1, 2]), Stage("Runs", 5, "5", "/ui/runs", listed, note=name)]

    root = ElementTree.fromstring(flow_picture.svg(stages, str, lambda word: "idle"))

    assert len(root.findall("a")) == 2 + min(len(counts), flow_picture.MOST)


@given(st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=3)), max_size=3), st.floats(), st.floats())
def test_an_interval_is_drawn_or_left_out(ci: list[Any], gain: float, margin: float) -> None:
    drawn = gate_pictures.svg({}, [{"name": "<b>", "figures": {"ci": ci, "gain": gain, "margin": margin}}])

    if drawn is not None:
        ElementTree.fromstring(drawn)
        assert "nan" not in drawn


def test_a_tested_gain_is_shown_with_its_interval_and_what_was_asked() -> None:
    figures_ = {"ci": [0.004, None], "gain": 0.012, "margin": 0.0}

    drawn = gate_pictures.svg({}, [{"name": "better", "figures": figures_}])

    assert drawn is not None
    assert "gain +0.012, 0.004 to open; 0 asked" in drawn
