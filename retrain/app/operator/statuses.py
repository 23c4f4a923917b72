"""What is written into an object's `status`: Argo Events' conditions, and what only the platform knows. Pure.

Conditions are true when all is well, as Argo Events has them and as `kubectl wait` and Argo CD read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventsources import SourceState
from retrain.app.operator.fired import LastFiring
from retrain.app.operator.said import Said
from retrain.app.operator.world import Standing, Version
from retrain.events import format_time
from retrain.manifests import Finding

Status = dict[str, Any]

MOST = 20
"""Findings, and entries of an EventSource, that a status shows; all of them are in the log, and with the platform."""
TEXT = 500
LISTENING = frozenset({"listening", "standby"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one object.

    `runs`: the version that runs. `said`: what is wrong with it because of others. `lacking`: why Secrets and
    ConfigMaps that it names cannot be had. `sources`: its entries, of an EventSource; `sensor`, `waiting`, `last`: its
    row, what it waits for in words, and its last firing, of a Sensor; `waits`: what a Promotion waits for.
    """

    standing: Standing
    runs: Version | None
    said: Sequence[Finding] = ()
    lacking: Sequence[str] = ()
    conditions: Sequence[Said] = ()
    sources: Sequence[SourceState] = ()
    sensor: Mapping[str, Any] | None = None
    waiting: str = ""
    last: LastFiring | None = None
    waits: str = ""

    @property
    def findings(self) -> list[Finding]:
        """All of them, errors first."""
        found = [*self.standing.newest.verdict.findings, *self.standing.refused, *self.said]
        return sorted(found, key=lambda one: one.severity != "error")

    @property
    def errors(self) -> list[Finding]:
        return [one for one in self.findings if one.severity == "error"]

    @property
    def old(self) -> bool:
        """Whether something older than the newest version runs."""
        return self.runs is not None and self.runs.digest != self.standing.newest.digest

    @property
    def pending(self) -> bool:
        """Whether the newest version is good, and still to be taken."""
        return not self.errors and (self.runs is None or self.old)


def status_of(facts: Facts, now: datetime) -> Status:
    """The status of an object; conditions that are as they were keep their time."""
    newest = facts.standing.newest
    kind = str(newest.found["kind"])
    status: Status = {"state": state_of(facts, kind), "observedGeneration": newest.generation}
    if facts.runs is not None:
        status["runningGeneration"] = facts.runs.generation
    status |= _of_kind(facts, kind)
    for name, severity in (("errors", "error"), ("warnings", "warning")):
        if found := [_finding(one, newest) for one in facts.findings if one.severity == severity]:
            status[name] = found[:MOST]
    if facts.lacking:
        status["lacking"] = list(facts.lacking[:MOST])
    before = (newest.found.get("status") or {}).get("conditions") or ()
    status["conditions"] = _timed(_conditions(facts, kind), before, now)
    return status


def state_of(facts: Facts, kind: str) -> str:
    """One word for people: the column STATE."""
    if facts.runs is None:
        return "Refused" if facts.errors else "Starting"
    if facts.old:
        return "Outdated"
    match kind:
        case "EventSource":
            if not facts.sources:
                return "Starting"
            return "Listening" if all(one.state in LISTENING for one in facts.sources) else "Waiting"
        case "Sensor":
            row = facts.sensor or {}
            return "CatchingUp" if row.get("behind") else str(row.get("mode", "starting")).capitalize()
        case "Promotion":
            return "Waiting" if facts.waits else "Ready"
        case _:
            return "Ready"


# --- by kind ---------------------------------------------------------------------------------------------------------


def _of_kind(facts: Facts, kind: str) -> Status:
    if kind == "EventSource":
        return _event_source(facts)
    if kind == "Sensor":
        return _sensor(facts)
    return {"waiting": facts.waits[:TEXT]} if facts.waits else {}


def _event_source(facts: Facts) -> Status:
    last = max((one.last_event for one in facts.sources if one.last_event is not None), default=None)
    waiting = next((f"{_event(one)}: {one.waiting_for}" for one in facts.sources if one.waiting_for), "")
    shown: Status = {"events": sum(one.received for one in facts.sources)}
    if last is not None:
        shown["lastEvent"] = _time(last)
    if waiting:
        shown["waiting"] = waiting[:TEXT]
    shown["sources"] = [_entry(one) for one in facts.sources[:MOST]]
    return shown


def _entry(one: SourceState) -> Status:
    shown: Status = {"event": _event(one), "kind": one.kind, "state": one.state, "received": one.received}
    if one.last_event is not None:
        shown["lastEvent"] = _time(one.last_event)
    texts = {"waitingFor": one.waiting_for, "lastError": one.last_error}
    return shown | {name: text[:TEXT] for name, text in texts.items() if text}


def _sensor(facts: Facts) -> Status:
    row = facts.sensor or {}
    shown: Status = {name: row[name] for name in ("open", "held") if row.get(name)}
    if facts.waiting:
        shown["waiting"] = facts.waiting[:TEXT]
    if facts.last is not None:
        shown["lastFiring"] = _firing(facts.last)
    return shown


def _firing(last: LastFiring) -> Status:
    shown: Status = {"id": last.id, "trigger": last.trigger, "state": last.state, "time": _time(last.time)}
    texts = {"result": last.result, "error": last.error}
    return shown | {name: text[:TEXT] for name, text in texts.items() if text}


# --- conditions ------------------------------------------------------------------------------------------------------


def _conditions(facts: Facts, kind: str) -> list[Status]:
    found = [_provided(facts, *words) for words in _PROVIDED.get(kind, ())]
    found.append(_deployed(facts))
    found += [_condition(one.type, one.status, one.reason, one.message) for one in facts.conditions]
    told = {str(one["type"]): one for one in found}  # what a reconciler says counts more
    if kind != "EventBus":  # whose every condition Argo Events' controller wants true, on a way back also those of ours
        told.setdefault("Ready", _ready(facts, kind, told.values()))
    return [told[name] for name in sorted(told)]


_PROVIDED = {
    "EventSource": (("SourcesProvided", "InvalidEventSource", ("spec", "metadata")),),
    "Sensor": (
        ("DependenciesProvided", "InvalidDependencies", ("spec.dependencies",)),
        ("TriggersProvided", "InvalidTriggers", ("spec.triggers",)),
    ),
    "EventBus": (("Configured", "InvalidEventBus", ("spec",)),),
}
"""Of each kind the condition's type, its reason where it is false, and the part of the document that it is about."""


def _provided(facts: Facts, type: str, reason: str, parts: tuple[str, ...]) -> Status:
    wrong = [one for one in facts.errors if one.path.startswith(parts)]
    if wrong:
        return _condition(type, False, reason, _worded(wrong))
    return _condition(type, True, "Valid", "")


def _deployed(facts: Facts) -> Status:
    newest = facts.standing.newest.generation
    if facts.runs is None:
        return _condition("Deployed", False, "NotRunning", _worded(facts.errors) or "not taken yet")
    if facts.old:
        message = f"generation {facts.runs.generation} runs on: generation {newest} is refused"
        return _condition("Deployed", True, "LastGood", message)
    return _condition("Deployed", True, "Running", f"generation {newest} runs")


def _ready(facts: Facts, kind: str, others: Iterable[Status]) -> Status:
    if wrong := next((one for one in others if one["status"] != "True"), None):
        return _condition("Ready", False, str(wrong["reason"]), str(wrong["message"]))
    if facts.lacking:
        return _condition("Ready", False, "Lacking", facts.lacking[0])
    state = state_of(facts, kind)
    if state in {"Waiting", "Starting", "Outdated"}:
        waits = [one.waiting_for for one in facts.sources if one.waiting_for] or [facts.waits]
        return _condition("Ready", False, state, waits[0] or "")
    return _condition("Ready", True, state, "")


def _condition(type: str, status: bool, reason: str, message: str) -> Status:
    return {"type": type, "status": str(status), "reason": reason, "message": message[:TEXT]}


def _timed(conditions: list[Status], before: Iterable[Mapping[str, Any]], now: datetime) -> list[Status]:
    """With the times since when they are so."""
    known = {(one.get("type"), one.get("status")): one.get("lastTransitionTime") for one in before}
    fresh = _time(now)
    return [{**one, "lastTransitionTime": known.get((one["type"], one["status"])) or fresh} for one in conditions]


# --- words -----------------------------------------------------------------------------------------------------------


def _worded(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    first, more = findings[0], len(findings) - 1
    return worded(first) + (f" (and {more} more)" if more else "")


def worded(finding: Finding) -> str:
    """A finding in one line, with its place in the document."""
    return f"{finding.path}: {finding.message}" if finding.path else finding.message


def _finding(one: Finding, version: Version) -> Status:
    """The line is that of the text that was applied, where the object still has it and it has lines."""
    shown: Status = {"path": one.path, "code": one.code, "message": one.message[:TEXT]}
    has_lines = version.verdict.item is None or version.verdict.item.document.positions.root.children is not None
    return shown | ({"line": one.line} if has_lines and one.line > 1 else {})


def _event(one: SourceState) -> str:
    return one.name.partition("/")[2]


def _time(time: datetime) -> str:
    """As Kubernetes has it, to the second."""
    return format_time(time.replace(microsecond=0))
