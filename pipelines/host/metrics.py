"""Figures that workflows keep of themselves: `metrics.prometheus` of templates and of the workflow.

Kept in this process, from its start on, for `/metrics`. A template's metric is taken when a node of it ends, that of a
workflow when the run does; a realtime gauge of a duration lives while they do. What a workflow writes cannot make the
page grow without end: families and series are bounded, and what is beyond is counted.

Source: workflow/controller/operator.go (`computeMetrics`), workflow/metrics of Argo Workflows.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipelines.core.engine import Decision, Run
from pipelines.core.nodes import Node
from pipelines.core.substitute import replace
from retrain.errors import RetrainError
from retrain.expressions.govaluate import evaluate
from retrain.log import get_logger

Kind = Literal["counter", "gauge", "histogram"]
KINDS: tuple[Kind, ...] = ("counter", "gauge", "histogram")
PREFIX = "argo_workflows_"
MAX_FAMILIES = 200
MAX_SERIES = 1000
"""Of one family."""
MAX_LABEL = 200
"""Characters of a label's value."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_DURATION = re.compile(r"\{\{\s*=?\s*(workflow\.)?duration\s*\}\}")

Labels = tuple[tuple[str, str], ...]

log = get_logger()


@dataclass(slots=True)
class Series:
    """One combination of labels. `since`: the value is the seconds since then, as long as that is set."""

    value: float = 0.0
    since: datetime | None = None
    counts: list[int] = field(default_factory=list[int])
    sum: float = 0.0

    def at(self, now: datetime) -> float:
        """The value of a counter or gauge at a moment."""
        return self.value if self.since is None else (now - self.since).total_seconds()


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one name. `buckets` of a histogram are upper bounds, in order, without infinity."""

    name: str
    help: str
    kind: Kind
    label_names: tuple[str, ...]
    buckets: tuple[float, ...] = ()
    series: dict[Labels, Series] = field(default_factory=dict[Labels, Series])


class WorkflowMetrics:
    """What workflows have counted in this process."""

    def __init__(self) -> None:
        self.families: dict[str, Family] = {}
        self.refused = 0
        """Observations that were not taken: a broken expression, another shape than before, or beyond the bounds."""
        self._counted: dict[str, set[str]] = {}

    def see(self, decision: Decision, now: datetime) -> None:
        """Take what a saved decision gives."""
        run = decision.run
        if _measures(run):
            for node_id in decision.changed:
                node = run.nodes[node_id]
                if (declared := _declared(_template(run, node))) and self._is_new(run, node):
                    self._node(run, node, declared, now)
        if (declared := _declared(run.plan.spec)) and (run.started_at is not None):
            self._workflow(run, declared, now)

    def _is_new(self, run: Run, node: Node) -> bool:
        """An ended node is counted once, though it may be saved again."""
        counted = self._counted.setdefault(run.plan.uid, set())
        if run.ended:
            del self._counted[run.plan.uid]
        if node.id in counted:
            return False
        if node.phase.fulfilled:
            counted.add(node.id)
        return True

    def _node(self, run: Run, node: Node, declared: list[Mapping[str, Any]], now: datetime) -> None:
        if node.phase.fulfilled and not node.phase.completed:
            return  # it never ran
        known = {**run.plan.variables, **_of_node(run, node, now)}
        self._all(declared, known, node.started_at, ended=node.phase.fulfilled)

    def _workflow(self, run: Run, declared: list[Mapping[str, Any]], now: datetime) -> None:
        known = {**run.plan.variables, **_of_workflow(run, now)}
        self._all(declared, known, run.started_at, ended=run.ended)

    def _all(
        self, declared: list[Mapping[str, Any]], known: Mapping[str, str], since: datetime | None, *, ended: bool
    ) -> None:
        for one in declared:
            realtime = bool((one.get("gauge") or {}).get("realtime"))
            if not ended and not realtime:
                continue
            try:
                taken = self._take(one, known, since if realtime and not ended else None)
            except (RetrainError, ValueError) as error:
                log.warning("metric.refused", metric=str(one.get("name")), reason=str(error))
                taken = False
            self.refused += not taken

    def _take(self, one: Mapping[str, Any], known: Mapping[str, str], since: datetime | None) -> bool:
        if one.get("when") and not evaluate(_filled(one["when"], known)):
            return True
        kind: Kind | None = next((each for each in KINDS if one.get(each)), None)
        if kind is None:
            return False
        body: Mapping[str, Any] = one[kind]
        labels = tuple(
            (str(each["key"]), _filled(each["value"], known)[:MAX_LABEL]) for each in one.get("labels") or ()
        )
        if since is not None and not _DURATION.fullmatch(str(body["value"]).strip()):
            raise ValueError("a realtime gauge must be {{duration}} or {{workflow.duration}}")
        value = 0.0 if since is not None else float(_filled(body["value"], known))
        if not math.isfinite(value):
            raise ValueError("the value is no number")
        series = self._series(one, kind, labels, body)
        if series is None:
            return False
        _observe(self.families[PREFIX + str(one["name"])], series, body, value, since)
        return True

    def _series(self, one: Mapping[str, Any], kind: Kind, labels: Labels, body: Mapping[str, Any]) -> Series | None:
        """The series to add to; None where there is no room, or the name means something else already."""
        name, names = PREFIX + str(one["name"]), tuple(key for key, _ in labels)
        if not all(_NAME.fullmatch(each) for each in (name, *names)):
            return None
        family = self.families.get(name)
        if family is None:
            if len(self.families) >= MAX_FAMILIES:
                return None
            buckets = tuple(sorted(float(each) for each in body.get("buckets") or ()))
            family = self.families[name] = Family(name, str(one.get("help") or name), kind, names, buckets)
        if (family.kind, family.label_names) != (kind, names):
            return None
        if labels not in family.series and len(family.series) >= MAX_SERIES:
            return None
        return family.series.setdefault(labels, Series(counts=[0] * (len(family.buckets) + 1)))


def _observe(family: Family, series: Series, body: Mapping[str, Any], value: float, since: datetime | None) -> None:
    match family.kind:
        case "counter":
            if value < 0:
                raise ValueError("a counter never goes down")
            series.value += value
        case "gauge":
            series.since = since
            operation = body.get("operation") or "Set"
            series.value = value if operation == "Set" else series.value + (value if operation == "Add" else -value)
        case "histogram":
            series.counts[bisect_left(family.buckets, value)] += 1
            series.sum += value


def _measures(run: Run) -> bool:
    holders = (run.plan.holder, *run.plan.holders.values())
    return any(template.get("metrics") for holder in holders for template in holder.templates.values())


def _declared(holder: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return ((holder or {}).get("metrics") or {}).get("prometheus") or []


def _template(run: Run, node: Node) -> Mapping[str, Any] | None:
    if node.template_ref is not None:
        step: Mapping[str, Any] = {"templateRef": node.template_ref}
    elif node.template_name:
        step = {"template": node.template_name}
    else:
        return None
    holder = next((one for one in run.plan.holders.values() if one.scope == node.template_scope), run.plan.holder)
    name = str((node.template_ref or {}).get("template") or step.get("template"))
    return holder.templates.get(name)


def _filled(text: Any, known: Mapping[str, str]) -> str:
    return str(replace(str(text), known, all_strict=True))


def _seconds(began: datetime | None, ended: datetime | None, now: datetime) -> str:
    return f"{((ended or now) - began).total_seconds():f}" if began is not None else "0"


def _of_node(run: Run, node: Node, now: datetime) -> dict[str, str]:
    known = {"duration": _seconds(node.started_at, node.finished_at, now), "status": str(node.phase)}
    known |= {f"resourcesDuration.{name}": str(value) for name, value in node.resources.items()}
    known |= {f"inputs.parameters.{name}": value for name, value in node.inputs.parameters.items()}
    outputs = node.outputs.parameters.items()
    known |= {f"outputs.parameters.{name}": value for name, value in outputs if value is not None}
    for name, value in (("exitCode", node.outputs.exit_code), ("outputs.result", node.outputs.result)):
        if value is not None:
            known[name] = value
    known["workflow.status"] = str(run.phase)
    return known


def _of_workflow(run: Run, now: datetime) -> dict[str, str]:
    seconds = _seconds(run.started_at, run.finished_at, now)
    known = {"workflow.duration": seconds, "duration": seconds, "workflow.status": str(run.phase)}
    known["status"] = str(run.phase)
    exports = run.state.exports.items()
    known |= {f"workflow.outputs.parameters.{name}": value for name, value in exports if value is not None}
    return known


def buckets_of(family: Family, series: Series) -> Iterator[tuple[str, float]]:
    """Upper bound -> how many observations were at most that, as Prometheus wants them."""
    total = 0
    for bound, count in zip((*map(str, family.buckets), "+Inf"), series.counts, strict=True):
        total += count
        yield bound, float(total)
