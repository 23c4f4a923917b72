"""What the views of runs are made of: folding, comparing, columns, logs side by side, forms. Pure parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.artifacts.looking import Look
from pipelines.pictures.svg import svg
from retrain.app.runs import curves as run_curves
from retrain.app.runs.beside import Written, beside, in_step
from retrain.app.runs.compare import Side, compare, curves, metrics, place_of, points
from retrain.app.runs.drawing import WHOLE, picture_of
from retrain.app.runs.folding import MOST_LINES, PAGE, Tree, fold, parse_open, spell_open, way_to
from retrain.app.runs.previews import preview_of
from retrain.app.runs.table import Sort, parse_sort, sorted_runs
from retrain.app.runs.values import Column, Said, number, parse_columns, said_of
from retrain.errors import ConfigError
from retrain.store.run_outlines import Outline, stub
from retrain.store.runs import RunRow
from retrain.web.page.doing import answered, changed

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
PHASES = ("Pending", "Running", "Succeeded", "Failed", "Error", "Skipped", "Omitted")
JSON: Any = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)


@st.composite
def outlines(draw: st.DrawFn) -> Outline:
    """Runs of any shape: groups in templates in groups, edges to and fro, also such as no engine makes."""
    many = draw(st.integers(1, 260))
    bodies: dict[str, Any] = {}
    children: dict[str, list[str]] = {}
    for index in range(many):
        key = f"n{index}"
        owner = bodies[f"n{draw(st.integers(0, index - 1))}"] if index else None
        kind = draw(st.sampled_from(["Pod", "Pod", "Pod", "DAG", "TaskGroup", "StepGroup", "Retry", "Suspend"]))
        mark = {"StepGroup": ".", "TaskGroup": "(", "Retry": "("}.get(owner["type"], ".") if owner else ""
        name = f"{owner['name']}{mark}{index}" if owner else "run"
        boundary = owner["id"] if owner and owner["type"] == "DAG" else owner["boundaryID"] if owner else ""
        started = draw(st.sampled_from(["", "2026-11-22T04:00:00Z", "2026-11-22T04:00:01Z"]))
        bodies[key] = {
            "id": key,
            "name": name,
            "type": kind,
            "phase": draw(st.sampled_from(PHASES)),
            "boundaryID": boundary,
        }
        bodies[key] |= {"startedAt": started, "templateName": draw(st.sampled_from(["a", "b"]))}
        if owner:
            children.setdefault(owner["id"], []).append(key)
    rank = {one: place for place, one in enumerate(bodies)}
    return Outline({key: stub(key, body) for key, body in bodies.items()}, children, rank, {})


@given(outlines(), st.data())
def test_a_folded_run_shows_each_node_once_and_what_is_opened(outline: Outline, data: st.DataObject) -> None:
    keys = list(outline.nodes)
    opened = data.draw(st.dictionaries(st.sampled_from(keys), st.integers(-1, 300), max_size=5))
    tree = Tree(outline)

    lines = fold(tree, opened)

    shown = [line.stub.id for line in lines]
    assert len(shown) == len(set(shown))
    assert len(lines) <= MOST_LINES + PAGE
    for line in lines:
        assert line.more >= 0
        assert sum(line.counts.values()) <= len(keys)
        if opened.get(line.stub.id) == -1:
            assert not line.open
    closed = {line.stub.id for line in lines if line.inside and not line.open}
    for key in shown:
        assert not closed & set(way_to(tree, key))


@given(outlines())
def test_a_small_run_is_shown_whole_and_its_counts_are_right(outline: Outline) -> None:
    tree = Tree(outline)
    if len(outline.nodes) > PAGE:
        return
    lines = {line.stub.id for line in fold(tree, {})}

    for key, one in outline.nodes.items():
        if one.kind in {"Pod", "DAG", "Suspend"} and "Omitted" not in {
            outline.nodes[k].phase for k in (*way_to(tree, key), key)
        }:
            assert key in lines
    for key in outline.nodes:
        assert sum(tree.sums[key].values()) == sum(
            key in {*way_to(tree, one.id), one.id} for one in outline.nodes.values() if one.kind in {"Pod", "Suspend"}
        )


@given(outlines())
def test_every_node_of_a_drawn_run_is_in_one_box_and_edges_lead_between_boxes(outline: Outline) -> None:
    picture = picture_of(Tree(outline), NOW)

    assert 0 < picture.boxes <= picture.many
    if picture.many <= WHOLE:
        assert set(picture.nodes) == set(outline.nodes)
    for key, body in picture.nodes.items():
        assert key not in body["children"]
    assert svg({"metadata": {"name": "run"}, "status": {"nodes": picture.nodes}}).startswith("<svg")


def test_a_thousand_like_steps_are_one_box_that_counts_them() -> None:
    bodies = {"run": {"id": "run", "name": "run", "type": "DAG", "phase": "Running"}}
    bodies["g"] = {"id": "g", "name": "run.t", "type": "TaskGroup", "phase": "Running", "boundaryID": "run"}
    pods = {
        f"p{n}": {"name": f"run.t({n})", "displayName": f"t({n})", "type": "Pod", "boundaryID": "run"}
        for n in range(1000)
    }
    for n, pod in enumerate(pods.values()):
        pod |= {"phase": "Failed" if n < 3 else "Succeeded", "templateName": "t"}
    bodies |= pods
    bodies["end"] = {"id": "end", "name": "run.end", "type": "Pod", "phase": "Pending", "boundaryID": "run"}
    children = {"run": ["g"], "g": list(pods), **{key: ["end"] for key in pods}}
    outline = Outline({key: stub(key, body) for key, body in bodies.items()}, children, {}, {})

    picture = picture_of(Tree(outline), NOW)

    assert sorted(body["displayName"] for body in picture.nodes.values()) == sorted(
        ["run", "run.t", "run.end", "t(0)", "t(1)", "t(2)", "t ×997"]  # noqa: RUF001
    )
    assert picture.nodes["p3"]["children"] == ["end"]


@given(st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True), st.integers(-1, 10**6), max_size=8))
def test_what_is_open_is_spelled_and_read_the_same(opened: dict[str, int]) -> None:
    assert parse_open(spell_open(opened)) == opened


@pytest.mark.parametrize("said", [["a:x"], ["a:-1"], ["a"] * 21])
def test_what_cannot_be_open_is_refused(said: list[str]) -> None:
    with pytest.raises(ConfigError):
        parse_open(said)


# --- values, columns, order ------------------------------------------------------------------------------------------


def run(name: str, outputs: Mapping[str, str] | None = None, **more: Any) -> RunRow:
    manifest: Any = {"spec": {"arguments": {"parameters": more.pop("parameters", [])}}}
    told: Any = {"parameters": [{"name": key, "value": value} for key, value in (outputs or {}).items()]}
    return RunRow(name, name, "w", manifest, {}, NOW, outputs=told, **more)


def test_metrics_are_numbers_of_outputs_then_of_the_evaluation() -> None:
    judged = orjson.dumps({"metrics": {"loss": 2, "f1": "0.5"}}).decode()
    candidate = orjson.dumps({"metrics": {"loss": 3, "size": 7}, "evaluation": judged}).decode()
    said = said_of(run("a", {"accuracy": "0.9", "note": "many", "candidate": candidate, "nan": "nan"}))

    assert dict(said.metrics) == {"accuracy": 0.9, "loss": 2.0, "f1": 0.5, "size": 7.0}
    assert said_of(run("b"), {"evaluation": {"metrics": {"f1": 1}}}).metrics == {"f1": 1.0}


@given(st.dictionaries(st.text(max_size=6), st.text(max_size=30) | JSON.map(str), max_size=5), JSON)
def test_any_outputs_are_read(outputs: dict[str, str], evaluation: Any) -> None:
    said = said_of(run("a", outputs), {"evaluation": evaluation, "metrics": evaluation})

    assert all(number(value) == value for value in said.metrics.values())


def test_columns_and_orders_are_read_or_refused() -> None:
    assert parse_columns(" param:lr, metric:a:b,param:lr") == (Column("param", "lr"), Column("metric", "a:b"))
    assert parse_sort("-metric:x") == Sort(Column("metric", "x"), downward=True)
    for wrong in ("lr", "param:", "nothing:x", ",".join(f"param:{n}" for n in range(13))):
        with pytest.raises(ConfigError):
            parse_columns(wrong)
    with pytest.raises(ConfigError):
        parse_sort("size")


@given(st.lists(st.none() | st.floats(allow_nan=False) | st.text(max_size=4), max_size=20), st.booleans())
def test_a_sorted_list_has_every_run_once_and_the_unknown_last(values: list[Any], downward: bool) -> None:
    rows = [run(str(n)) for n in range(len(values))]
    known = {str(n): value for n, value in enumerate(values)}

    found = sorted_runs(rows, Sort(Column("metric", "x"), downward), lambda: known, NOW)

    assert sorted(one.id for one in found) == sorted(one.id for one in rows)
    there = [known[one.id] is not None for one in found]
    assert there == sorted(there, reverse=True)
    figures = [known[one.id] for one in found if isinstance(known[one.id], float)]
    assert figures == sorted(figures, reverse=downward)


# --- side by side ----------------------------------------------------------------------------------------------------

FIGURES = st.dictionaries(st.sampled_from(["accuracy", "loss", "x"]), st.floats(-1e6, 1e6), max_size=3)


def side(name: str, figures: Mapping[str, float], evaluation: Mapping[str, Any] | None = None) -> Side:
    said = Said({"lr": name}, {}, {}, figures, evaluation or {})
    return Side(name, name, "w", "Succeeded", NOW, NOW, NOW + timedelta(seconds=5), said)


@given(st.lists(FIGURES, min_size=2, max_size=5))
def test_every_row_has_a_value_for_each_run_and_the_best_are_best(figures: list[dict[str, float]]) -> None:
    found = compare([side(f"r{n}", one) for n, one in enumerate(figures)], {"x": "lower"}, NOW)

    for row in found["metrics"]:
        there = [one.get(row["name"]) for one in figures]
        assert row["values"] == there
        assert row["deltas"][0] in (0, None)
        known = [value for value in there if value is not None]
        for index in row["best"]:
            assert there[index] == (max(known) if row["better"] == "higher" else min(known))
        assert row["same"] is (len(set(there)) == 1)
    assert {row["known"] for row in found["metrics"] if row["name"] == "x"} <= {"gate"}


def test_no_metric_is_best_where_nobody_knows_what_is_better() -> None:
    rows = metrics([{"rows": 1.0}, {"rows": 2.0}], {})

    assert (rows[0]["better"], rows[0]["best"], rows[0]["deltas"]) == (None, [], [0.0, 1.0])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("w.train(0:a)(1)", "train"),
        ("w[0].prepare", "[0].prepare"),
        ("w", "w"),
        ("w.a(0).b", "a(0).b"),
        ("w.x(3:(b))", "x"),
    ],
)
def test_a_step_is_known_by_its_place(name: str, place: str) -> None:
    assert place_of(name, "w") == place


@given(JSON, JSON)
def test_any_curve_is_drawn_or_left_out(xs: Any, ys: Any) -> None:
    told = curves([{"curves": {"<b>": {"x": xs, "y": ys}, "roc": {"x": [0, 1], "y": [0, 1]}}}, {"curves": xs}])

    for one in told:
        picture = run_curves.svg(one, ["<i>", "b"])
        assert "<b>" not in picture
        assert "nan" not in picture


@given(st.lists(st.tuples(st.floats(-1e14, 1e14), st.floats(-1e14, 1e14)), min_size=2, max_size=900))
def test_a_curve_keeps_its_ends_and_stays_in_its_frame(pairs: list[tuple[float, float]]) -> None:
    xs, ys = points({"x": [x for x, _ in pairs], "y": [y for _, y in pairs]})

    assert (xs[0], ys[0]) == pairs[0]
    assert (xs[-1], ys[-1]) == pairs[-1]
    assert len(xs) <= 402
    assert "<svg" in run_curves.svg({"name": "c", "lines": [{"run": 4, "x": xs, "y": ys}]}, list("abcde"))


# --- logs ------------------------------------------------------------------------------------------------------------

LOGS = st.lists(st.lists(st.integers(0, 50), max_size=15), min_size=2, max_size=4)


@given(LOGS, st.sampled_from(["clock", "start"]))
def test_logs_side_by_side_have_every_line_once_in_its_order(times: list[list[int]], by: Any) -> None:
    logs = [
        [Written(NOW + timedelta(seconds=at), f"{c}-{n}") for n, at in enumerate(some)] for c, some in enumerate(times)
    ]

    rows = beside(logs, [NOW if n % 2 else None for n in range(len(logs))], by)

    for column, log in enumerate(logs):
        assert [one.text for row in rows for one in row.cells[column]] == [one.text for one in log]
    assert all(any(row.cells) for row in rows)


def test_time_in_a_step_reads_as_a_clock() -> None:
    assert [in_step(one) for one in (0, 7.9, 67, 3723, -1)] == ["+0:00", "+0:07", "+1:07", "+1:02:03", "+0:00"]


# --- forms and previews ----------------------------------------------------------------------------------------------


def test_only_what_was_changed_in_a_form_is_asked_for() -> None:
    row = run(
        "a", parameters=[{"name": "lr", "value": "1"}, {"name": "t", "value": "a\nb"}, {"name": "e", "value": ""}]
    )

    assert changed(row, {"p.lr": "1", "p.t": "a\r\nb", "p.e": "", "id": "x", "lr": "5"}) == {}
    assert changed(row, {"p.lr": "2", "p.t": "a", "p.e": " "}) == {"lr": "2", "t": "a", "e": " "}


def test_an_answer_goes_on_fails_or_is_refused() -> None:
    assert answered({"as": "go"}, "id=x", "eve")[0] == "runs.resume"
    name, said = answered({"as": "go", "o.v": "yes", "o.w": "", "message": "fine"}, "id=x", "eve")
    assert (name, getattr(said, "outputs").parameters) == ("runs.set", {"v": "yes"})  # noqa: B009
    assert answered({"as": "fail"}, "id=x", "eve")[0] == "runs.stop"
    with pytest.raises(ConfigError):
        answered({}, "id=x", "")


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n", "image"),
        ("a.png", b"<script>", "text"),
        ("a.txt", b"  <!DOCTYPE html><p>", "page"),
        ("a.xml", b"<?xml version='1.0'?><svg>", "page"),
        ("a.csv", b"a;b\n1;2\n", "table"),
        ("a.json", b'{"a": 1}', "json"),
        ("a.json", b"{no", "text"),
        ("a", b"\0\1", "binary"),
        ("a", b"", "nothing"),
    ],
)
def test_what_is_shown_follows_from_the_bytes(name: str, head: bytes, kind: str) -> None:
    assert preview_of(Look(name, len(head), head)).kind == kind


def test_a_page_that_is_cut_off_is_not_shown() -> None:
    shown = preview_of(Look("a.html", 10**9, b"<html>", whole=False))

    assert (shown.kind, shown.type) == ("large", "")
