"""What leads to what: event sources, sensors, their triggers, workflows, promotions; with counts of the last day.

Pure but for `show_graph` and `_counts`, which ask the store. What a workflow or a promotion tells leads to the sensors
that ask for it; where that would close a circle, the way back is named and not drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from sqlalchemy import Connection, Table, func, select

from retrain.app.projects.catalog import Item
from retrain.app.projects.project import Project
from retrain.errors import NotFound
from retrain.events import OWN_SOURCE
from retrain.store import history
from retrain.store.tables import events, firings, promotions, runs
from sensors import SensorDocument
from sensors.core.addresses import compile_address, is_pattern
from sensors.trigger_spec import Template, kinds_of

Json = dict[str, Any]
Kind = Literal["source", "sensor", "trigger", "workflow", "promotion"]
TELL: Mapping[str, Kind] = {"run.": "workflow", "promotion.": "promotion"}
"""Beginnings of the platform's own events, and who tells them."""
COUNTED = 40_000
"""Rows of one table that are counted, the newest; and events of all sources together."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Node:
    """`id`: kind and name. `under`: what it is, in words. `count`: of the last day, None where nothing is counted;
    `most`: there are at least as many. `failed` of them went wrong. `state`: a sensor's mode, a source's state."""

    id: str
    kind: Kind
    name: str
    under: str = ""
    state: str = ""
    count: int | None = None
    failed: int = 0
    most: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """`edges`: pairs of ids, cause first, without circles; `back`: those that would close one."""

    nodes: tuple[Node, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    back: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> Json:
        """What the API answers."""
        nodes = [{name: getattr(one, name) for name in Node.__dataclass_fields__} for one in self.nodes]
        return {"nodes": nodes, "edges": [list(one) for one in self.edges], "back": [list(one) for one in self.back]}


def show_graph(connection: Connection, project: Project, rows: Sequence[Json], now: datetime) -> Graph:
    """The whole of a project. `rows`: how the entries of its sources are."""
    graph = graph_of(project, {f"{row['source']}/{row['event']}": str(row["state"]) for row in rows})
    return _counted(connection, graph, now - DAY)


# --- what leads to what ----------------------------------------------------------------------------------------------


def graph_of(project: Project, states: Mapping[str, str] | None = None) -> Graph:
    """The graph of a project's manifests, nothing counted. `states`: of sources' entries."""
    work = _Work(states or {})
    for item in project.event_sources:
        work.source(item)
    for item in project.sensors:
        work.sensor(item.model)
    for item in project.promotions:
        work.add(Node(f"promotion:{item.model.name}", "promotion", item.model.name, "Promotion"))
    work.tell()
    ids = list(work.nodes)
    edges, back = without_circles(ids, work.edges)
    return Graph(tuple(work.nodes.values()), tuple(edges), tuple(back))


@dataclass(slots=True)
class _Work:
    states: Mapping[str, str]
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    edges: dict[tuple[str, str], None] = field(default_factory=dict[tuple[str, str], None])

    def add(self, node: Node) -> None:
        self.nodes.setdefault(node.id, node)

    def join(self, start: str, end: str) -> None:
        self.edges.setdefault((start, end))

    def source(self, item: Item) -> None:
        name, spec = item.document.name, _mapping(item.document.body.get("spec"))
        for kind in item.model.spec.runnable:
            for event in _mapping(spec.get(kind)):
                place = f"{name}/{event}"
                self.add(Node(f"source:{place}", "source", place, kind, self.states.get(place, "")))

    def sensor(self, document: SensorDocument) -> None:
        mode = document.mode
        mine = f"sensor:{document.name}"
        self.add(Node(mine, "sensor", document.name, "" if mode == "active" else mode, mode))
        for one in document.spec.dependencies:
            for place in self._places(one.event_source_name, one.event_name):
                self.join(f"source:{place}", mine)
        for trigger in document.spec.triggers:
            if trigger.template is not None:
                self._trigger(document.name, trigger.template)

    def _places(self, source: str, name: str) -> list[str]:
        """The entries that a dependency means; where there is none of those, what it asks for."""
        address = compile_address(source, name)
        if not isinstance(address, tuple):
            known = [one.name for one in self.nodes.values() if one.kind == "source"]
            met = [place for place in known if address((place.partition("/")[0], place.partition("/")[2]))]
            if met:
                return met
        place = f"{source}/{name}" if name else source
        under = "platform" if source == OWN_SOURCE else "pattern" if is_pattern(place) else "API"
        self.add(Node(f"source:{place}", "source", place, under))
        return [place]

    def _trigger(self, sensor: str, template: Template) -> None:
        mine = f"trigger:{sensor}/{template.name}"
        kind = next(iter(kinds_of(template)), "")
        self.add(Node(mine, "trigger", f"{sensor}/{template.name}", kind))
        self.join(f"sensor:{sensor}", mine)
        if template.promotion is not None:
            self.add(Node(f"promotion:{template.promotion.name}", "promotion", template.promotion.name, "Promotion"))
            self.join(mine, f"promotion:{template.promotion.name}")
        elif name := _workflow_of(template):
            self.add(Node(f"workflow:{name}", "workflow", name, "Workflow"))
            self.join(mine, f"workflow:{name}")
        elif template.retrain is not None and template.retrain.event_name:
            for place in self._places(OWN_SOURCE, template.retrain.event_name):
                self.join(mine, f"source:{place}")

    def tell(self) -> None:
        """What runs and promotions tell, where somebody listens."""
        for node in list(self.nodes.values()):
            source, _, name = node.name.partition("/")
            teller = next((kind for begin, kind in TELL.items() if name.startswith(begin)), None)
            if node.kind != "source" or source != OWN_SOURCE or teller is None:
                continue
            for one in list(self.nodes.values()):
                if one.kind == teller:
                    self.join(one.id, node.id)


def _workflow_of(template: Template) -> str:
    """What a trigger's run is of: a template's name, or its own that others are numbered from; "" where it makes none,
    or makes it of what lies elsewhere."""
    action = template.argo_workflow or template.k8s
    resource = action.source.resource if action is not None and action.source is not None else None
    body = _mapping(resource)
    if not body or (template.k8s is not None and body.get("kind") != "Workflow"):
        return ""
    metadata, spec = _mapping(body.get("metadata")), _mapping(body.get("spec"))
    named = _mapping(spec.get("workflowTemplateRef")).get("name")
    return str(named or str(metadata.get("generateName") or "").rstrip("-") or metadata.get("name") or "")


def without_circles(
    ids: Sequence[str], edges: Iterable[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Edges that make no circle, and those that would. Pure."""
    after: dict[str, list[str]] = {}
    for start, end in edges:
        after.setdefault(start, []).append(end)
    kept: list[tuple[str, str]] = []
    back: list[tuple[str, str]] = []
    state: dict[str, int] = {}
    for root in ids:
        if state.get(root):
            continue
        state[root], way = 1, [(root, iter(after.get(root, ())))]
        while way:
            here, rest = way[-1]
            end = next(rest, None)
            if end is None:
                state[here] = 2
                way.pop()
            elif state.get(end) == 1:
                back.append((here, end))
            else:
                kept.append((here, end))
                if not state.get(end):
                    state[end] = 1
                    way.append((end, iter(after.get(end, ()))))
    return kept, back


# --- a part of it ----------------------------------------------------------------------------------------------------


def part_of(graph: Graph, text: str = "", near: str = "") -> Graph:
    """What has `text` in its name, or is the node `near`, with all that leads to it and all that it leads to. Pure.

    Raises:
        NotFound: there is no node `near`.
    """
    if near and near not in {one.id for one in graph.nodes}:
        raise NotFound(f"{near}: the graph has no such part; /ui/graph shows all of it")
    if not text and not near:
        return graph
    wanted = {one.id for one in graph.nodes if (not near or one.id == near) and text.lower() in one.name.lower()}
    kept = _reached(wanted, graph.edges) | _reached(wanted, [(end, start) for start, end in graph.edges])
    nodes = tuple(one for one in graph.nodes if one.id in kept)
    return Graph(nodes, *(tuple(one for one in pairs if set(one) <= kept) for pairs in (graph.edges, graph.back)))


def _reached(begin: Iterable[str], edges: Iterable[tuple[str, str]]) -> set[str]:
    after: dict[str, list[str]] = {}
    for start, end in edges:
        after.setdefault(start, []).append(end)
    found = set(begin)
    waiting = list(found)
    while waiting:
        for one in after.get(waiting.pop(), ()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return found


# --- counts ----------------------------------------------------------------------------------------------------------


def _counted(connection: Connection, graph: Graph, since: datetime) -> Graph:
    """The graph with what happened since then."""
    found = {**_events(connection, graph, since), **dict(_rows(connection, since))}
    return replace(graph, nodes=tuple(replace(one, **found.get(one.id, _nothing(one))) for one in graph.nodes))


def _nothing(node: Node) -> dict[str, Any]:
    return {"count": None if is_pattern(node.name) else 0}


def _events(connection: Connection, graph: Graph, since: datetime) -> dict[str, dict[str, Any]]:
    places = [one for one in graph.nodes if one.kind == "source" and not is_pattern(one.name)]
    first, _ = history.positions_between(connection, since, None)
    each = max(200, COUNTED // max(1, len(places)))
    found: dict[str, dict[str, Any]] = {}
    for one in places:
        source, _, name = one.name.partition("/")
        query = select(events.c.position).where(events.c.source == source, events.c.position >= first)
        some = query.where(events.c.subject == name).limit(each).subquery() if name else query.limit(each).subquery()
        count = connection.execute(select(func.count()).select_from(some)).scalar_one()
        found[one.id] = {"count": count, "most": count == each}
    return found


def _rows(connection: Connection, since: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    """Firings by trigger and by sensor, runs by workflow, promotions by name."""
    by_trigger = _tally(connection, firings, (firings.c.sensor, firings.c.trigger), firings.c.state, ("dead",), since)
    yield from _said("trigger", {f"{sensor}/{trigger}": one for (sensor, trigger), one in by_trigger.items()})
    by_sensor: dict[str, tuple[int, int]] = {}
    for (sensor, _), (count, failed) in by_trigger.items():
        before = by_sensor.get(sensor, (0, 0))
        by_sensor[sensor] = (before[0] + count, before[1] + failed)
    yield from _said("sensor", by_sensor)
    by_workflow = _tally(connection, runs, (runs.c.workflow,), runs.c.phase, ("Failed", "Error"), since)
    yield from _said("workflow", {name: one for (name,), one in by_workflow.items()})
    bad = ("failed", "unhealthy", "conflicted")
    by_name = _tally(connection, promotions, (promotions.c.name,), promotions.c.state, bad, since)
    yield from _said("promotion", {name: one for (name,), one in by_name.items()})


def _said(kind: Kind, counts: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, (count, failed) in counts.items():
        yield f"{kind}:{name}", {"count": count, "failed": failed, "most": count >= COUNTED}


def _tally(
    connection: Connection, table: Table, names: Sequence[Any], state: Any, bad: Sequence[str], since: datetime
) -> dict[tuple[str, ...], tuple[int, int]]:
    """How many of the newest rows there are by these columns, and how many of them went wrong."""
    newest = (
        select(*names, state.label("how"))
        .where(table.c.created >= since)
        .order_by(table.c.created.desc())
        .limit(COUNTED)
        .subquery()
    )
    by = [newest.c[one.name] for one in names]
    found: dict[tuple[str, ...], tuple[int, int]] = {}
    for row in connection.execute(select(*by, newest.c.how, func.count()).group_by(*by, newest.c.how)):
        name, how, count = tuple(row[:-2]), row[-2], row[-1]
        before = found.get(name, (0, 0))
        found[name] = (before[0] + count, before[1] + (count if how in bad else 0))
    return found


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
