"""What was seen of a Workflow on a cluster becomes its row, its nodes and its events, whatever way it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select

from pipelines.kubernetes.mirroring import Mirror
from pipelines.kubernetes.sightings import Sighting, digests, folded, newer, node_changes, sighting
from retrain.store import firings, runs
from retrain.store.firings import FiringRow
from retrain.store.runs import RETRIES, RunRow
from retrain.store.tables import metadata, outbox
from tests.support.workflow_life import BEGAN, RUN_ID, UID, life, node, stamp, workflow

NOW = BEGAN + timedelta(hours=1)
ROW = RunRow(
    id=RUN_ID,
    name="w-1",
    namespace="ml",
    workflow="w",
    manifest={"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": workflow(1)["spec"]},
    labels={"team": "risk"},
    created=BEGAN,
    engine="argo",
    firing_id="f-1",
    object={"metadata": {"uid": UID, "resourceVersion": "10", "name": "w-1", "namespace": "ml"}, "status": {}},
)


TABLES = ("runs", "nodes", "run_edges", "run_requests", "outbox", "firings", "firing_events", "crons")


def new_store(row: RunRow = ROW) -> Connection:
    engine = create_engine("sqlite://")
    metadata.create_all(engine, [metadata.tables[name] for name in TABLES])
    connection = engine.connect()
    runs.submit(connection, [row])
    return connection


@pytest.fixture
def store() -> Iterator[Connection]:
    connection = new_store()
    yield connection
    connection.close()
    connection.engine.dispose()


class Watched:
    """A mirror on a store, fed batch by batch."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.mirror = Mirror()

    def see(self, *seen: Sighting | dict[str, Any]) -> None:
        batch = [one if isinstance(one, Sighting) else sighting(one) for one in seen]
        self.mirror.done(self.mirror.keep(self.connection, batch, NOW))

    @property
    def row(self) -> RunRow:
        row = runs.get(self.connection, RUN_ID)
        assert row is not None
        return row

    @property
    def nodes(self) -> dict[str, Any]:
        return runs.load_nodes(self.connection, RUN_ID)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            orjson.loads(one) for one in self.connection.execute(select(outbox.c.event).order_by(outbox.c.id)).scalars()
        ]

    @property
    def told(self) -> list[str]:
        return [one["id"].removeprefix(f"{RUN_ID}.") for one in self.events]


LIVES = st.builds(life, st.integers(0, 4), st.sampled_from(["Succeeded", "Failed", "Error"]))


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[list[int]], list[bool]]:
    """A life, the batches in which its objects come (repeated, late, with gaps; the last one always comes), and after
    which of them the process is another one."""
    found = draw(LIVES)
    order = draw(st.lists(st.integers(0, len(found) - 1), max_size=30))
    order.insert(draw(st.integers(0, len(order))), len(found) - 1)
    cuts = sorted(draw(st.sets(st.integers(1, len(order)), max_size=6)))
    batches = [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True) if start < end]
    return found, batches, draw(st.lists(st.booleans(), min_size=len(batches), max_size=len(batches)))


@settings(deadline=None, max_examples=80)
@given(deliveries())
def test_any_order_repetition_and_cut_gives_the_same_row_and_each_event_once(
    delivery: tuple[list[dict[str, Any]], list[list[int]], list[bool]],
) -> None:
    found, batches, restarts = delivery
    plain = Watched(new_store())
    for one in found:
        plain.see(one)

    watched = Watched(new_store())
    for batch, restart in zip(batches, restarts, strict=True):
        watched.see(*(found[number] for number in batch))
        if restart:
            watched.mirror = Mirror()

    assert watched.row == plain.row
    assert watched.nodes == plain.nodes == found[-1]["status"]["nodes"]
    assert watched.told == plain.told == ["started", "succeeded" if watched.row.phase == "Succeeded" else "failed"]
    assert watched.events == plain.events
    for one in (plain, watched):
        one.connection.close()
        one.connection.engine.dispose()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 3), st.lists(st.booleans(), min_size=20, max_size=20))
def test_a_run_that_is_tried_again_ends_twice_and_is_told_twice(steps: int, together: list[bool]) -> None:
    watched = Watched(new_store())

    batch: list[dict[str, Any]] = []
    for one, wait in zip(life(steps, "Succeeded", retried=True), together, strict=False):
        batch.append(one)
        if not wait:
            watched.see(*batch)
            batch = []
    watched.see(*batch)

    started = ["started"] if steps else []
    assert watched.told == [*(started or ["started"]), "failed", "succeeded.1"]
    assert watched.row.labels[RETRIES] == "1"
    assert (watched.row.phase, watched.row.message) == ("Succeeded", "")
    assert watched.nodes == life(steps, "Succeeded", retried=True)[-1]["status"]["nodes"]
    watched.connection.close()
    watched.connection.engine.dispose()


def test_a_run_that_was_tried_again_while_nobody_watched_has_ended_again(store: Connection) -> None:
    found = life(1, "Failed", retried=True)
    watched = Watched(store)
    watched.see(*found[:-2])

    watched.see(found[-1])

    assert watched.told == ["started", "failed", "failed.1"]


def test_the_event_tells_what_the_run_has_used_and_what_came_of_it(store: Connection) -> None:
    status = life(2, "Succeeded")[-1]["status"]
    outputs = {"parameters": [{"name": "auc", "value": "0.93"}]}

    watched = Watched(store)
    watched.see(
        workflow(90, **{**status, "outputs": outputs, "resourcesDuration": {"cpu": 60, "nvidia.com/gpu": 7200}})
    )

    data = watched.events[-1]["data"]
    assert data["outputs"] == {"parameters": {"auc": "0.93"}}
    assert data["resources"] == {"cpu": 60, "nvidia.com/gpu": 7200}
    assert data["nodes"] == {"Succeeded": 3}
    assert data["arguments"] == {"lr": "0.1"}
    assert (data["startedAt"], data["finishedAt"]) == (stamp(1), stamp(99))
    assert watched.row.pods == "0/0/2"


def test_deleted_after_its_end_it_stays_as_it_ended(store: Connection) -> None:
    found = life(1, "Succeeded")
    watched = Watched(store)
    watched.see(*found)
    before = watched.row

    watched.see(sighting(workflow(99, **found[-1]["status"]), "deleted"))

    assert watched.row == before
    assert watched.told == ["started", "succeeded"]


def test_deleted_with_its_end_in_the_last_word_it_has_ended_so(store: Connection) -> None:
    watched = Watched(store)

    watched.see(sighting(workflow(99, **life(1, "Succeeded")[-1]["status"]), "deleted"))

    assert watched.row.phase == "Succeeded"
    assert watched.told == ["started", "succeeded"]


@pytest.mark.parametrize(
    ("gone", "words"),
    [("deleted", "was deleted from the cluster while it was Running"), ("lost", "while nobody watched")],
)
def test_deleted_before_its_end_it_is_an_error_that_says_so(store: Connection, gone: Any, words: str) -> None:
    running = life(1, "Succeeded")[3]
    watched = Watched(store)
    watched.see(running)

    watched.see(sighting(workflow(99, **running["status"]), gone))

    assert watched.row.phase == "Error"
    assert words in watched.row.message
    assert watched.row.finished == NOW
    assert watched.told == ["started", "failed"]
    assert watched.nodes == running["status"]["nodes"]


def test_another_object_of_its_name_is_not_its_end(store: Connection) -> None:
    other = workflow(99, phase="Failed", finishedAt=stamp(9))
    other["metadata"]["uid"] = "another"
    watched = Watched(store)

    watched.see(other)

    assert watched.row == ROW


def test_what_nobody_knows_is_kept_for_later(store: Connection) -> None:
    other = workflow(99, phase="Running", startedAt=stamp(1))
    other["metadata"]["labels"]["retrain.dev/run"] = "r-2"

    outcome = Mirror().keep(store, [sighting(other)], NOW)

    assert [one.run_id for one in outcome.strangers] == ["r-2"]


def test_its_firing_is_woken_at_its_end(store: Connection) -> None:
    later = NOW + timedelta(hours=5)
    firing = FiringRow("f-1", "s", "t", "", (), {"kind": "argoWorkflow"}, created=BEGAN, next_attempt=later)
    firings.add(store, [firing])
    watched = Watched(store)

    watched.see(*life(1, "Failed"))

    woken = firings.get(store, "f-1")
    assert woken is not None
    assert woken.next_attempt == NOW
    assert (watched.events[-1]["retrainsensor"], watched.events[-1]["retrainfiring"]) == ("s", "f-1")


def test_a_workflow_that_was_invalid_from_the_start_is_told_once(store: Connection) -> None:
    watched = Watched(store)

    watched.see(workflow(20, phase="Error", message="invalid spec", startedAt=stamp(3), finishedAt=stamp(3)))
    watched.see(workflow(21, phase="Error", message="invalid spec", startedAt=stamp(3), finishedAt=stamp(3)))

    assert watched.told == ["started", "failed"]
    assert watched.row.message == "invalid spec"


def test_a_spec_that_was_changed_on_the_cluster_is_kept_beside_the_one_that_was_submitted(store: Connection) -> None:
    stopped = workflow(20, phase="Running", startedAt=stamp(3))
    stopped["spec"]["shutdown"] = "Stop"
    watched = Watched(store)

    watched.see(stopped)

    assert watched.row.control == "stop"
    assert watched.row.object is not None
    assert watched.row.object["spec"] == stopped["spec"]
    assert watched.row.manifest == ROW.manifest


def test_an_object_of_another_kind_is_not_opened_again(store: Connection) -> None:
    runs_as = replace(ROW, id="r-job", name="j", firing_id=None, engine="object", phase="Succeeded")
    runs.submit(store, [runs_as])
    job = workflow(30, phase="Running", startedAt=stamp(500))
    job["metadata"]["labels"]["retrain.dev/run"] = "r-job"

    Mirror().keep(store, [sighting(job)], NOW)

    row = runs.get(store, "r-job")
    assert row is not None
    assert row.phase == "Succeeded"


def test_of_many_sightings_the_last_counts_and_every_end() -> None:
    found = [sighting(one) for one in life(2, "Succeeded", retried=True)]

    kept = folded(found)

    assert [one.reading.phase for one in kept] == ["Failed", "Succeeded"]


@pytest.mark.parametrize(
    ("version", "known", "is_newer"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("5", None, True), ("b", "a", True), ("a", "a", False)],
)
def test_versions_are_compared_as_numbers_where_they_are_some(version: str, known: str | None, is_newer: bool) -> None:
    assert newer(version, known) is is_newer


def test_only_what_differs_is_written() -> None:
    nodes = {"all": node("all", "Running", "n0", "n1", kind="Steps"), "n0": node("n0", "Running")}
    before = sighting(workflow(20, phase="Running", nodes=nodes)).reading
    more = {**nodes, "all": node("all", "Running", "n0", "n1", "n2", kind="Steps"), "n0": node("n0", "Succeeded")}

    changes = node_changes(digests(before), sighting(workflow(21, phase="Running", nodes=more)).reading)

    assert list(changes.bodies) == ["n0"]
    assert changes.edges == [("all", "n2")]
    assert not changes.whole


def test_nodes_that_a_retry_has_taken_away_are_written_as_a_whole() -> None:
    before = sighting(workflow(20, phase="Failed", nodes={"a": node("a", "Failed"), "b": node("b", "Failed")})).reading
    after = sighting(workflow(21, phase="Running", nodes={"a": node("a", "Running")})).reading

    assert node_changes(digests(before), after).whole
