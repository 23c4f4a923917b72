"""The whole report of a migration: every object judged, what is around them, what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from retrain.app.migrating.facts import Fact, Verdict
from retrain.app.migrating.plan import Scene, Step, plan
from retrain.app.migrating.surroundings import Around
from retrain.app.migrating.verdicts import Judged, general, judge, pair, unreadable
from retrain.app.operator.ports import Moves, Which, moved
from retrain.app.projects.project import project_of
from retrain.events import JsonValue
from retrain.manifests import Document, Loaded

BESIDE = frozenset({"WorkflowTemplate", "ClusterWorkflowTemplate"})
"""Read of a cluster for what refers to it; Argo Workflows goes on with it."""


@dataclass(frozen=True, slots=True)
class Report:
    """`objects` in the order in which they were read. `remarks`: what could not be looked at."""

    objects: tuple[Judged, ...]
    general: tuple[tuple[str, Fact], ...]
    around: tuple[Around, ...]
    plan: tuple[Step, ...]
    remarks: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether something cannot be taken over as it is."""
        return any(one.verdict is Verdict.REFUSED for one in self.objects)

    @property
    def counts(self) -> dict[Verdict, int]:
        """Objects by verdict, the best first."""
        counted = Counter(one.verdict for one in self.objects)
        return {verdict: counted[verdict] for verdict in Verdict}

    def to_json(self) -> dict[str, JsonValue]:
        """As scripts read it."""
        return {
            "objects": [one.to_json() for one in self.objects],
            "counts": {verdict.value: count for verdict, count in self.counts.items()},
            "general": [
                {"kind": kind, "code": fact.code, "verdict": fact.verdict.value, "there": fact.there, "here": fact.here}
                for kind, fact in self.general
            ],
            "around": [one.to_json() for one in self.around],
            "plan": [step.to_json() for step in self.plan],
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was read: of a directory one `Loaded`, of a cluster one for each namespace."""

    loaded: Sequence[Loaded]
    in_files: bool
    around: Sequence[Around] = ()
    namespaces: Sequence[str] = ()
    remarks: Sequence[str] = ()


def report(gathered: Gathered) -> Report:
    """Judge what was read."""
    documents = [document for each in gathered.loaded for document in each.documents]
    bodies = {kind: _bodies(documents, kind) for kind in ("EventSource", "Sensor", "EventBus")}
    moves = moved([one for one in bodies["EventSource"] if one["metadata"].get("name")])
    objects = [one for each in gathered.loaded for one in _judged(each, moves, in_files=gathered.in_files)]
    refused = [f"{one.kind} {one.name}".strip() for one in objects if one.verdict is Verdict.REFUSED]
    scene = Scene(
        *(bodies["EventSource"], bodies["Sensor"], gathered.around, gathered.namespaces, refused, bodies["EventBus"])
    )
    argo = [one.kind for one in documents if one.api_version.startswith("argoproj.io/")]
    steps = plan(scene) if bodies["EventSource"] or bodies["Sensor"] else []
    return Report(tuple(objects), tuple(general(argo)), tuple(gathered.around), tuple(steps), tuple(gathered.remarks))


def _judged(loaded: Loaded, moves: Mapping[Which, Moves], *, in_files: bool) -> Iterable[Judged]:
    """By the very loader that `retrain up` uses; documents of other systems are no business of ours."""
    findings = [one for one in project_of(loaded).findings if one.code != "foreign-kind"]
    documents = list(loaded.documents)
    of_each, rest = pair(documents, findings)
    yield from (unreadable(one) for one in rest)
    for document, found in zip(documents, of_each, strict=True):
        if _ours(document) and (in_files or document.kind not in BESIDE):
            served = moves.get((document.namespace, document.name)) if document.kind == "EventSource" else None
            yield judge(document, found, in_files=in_files, moves=served)


def _ours(document: Document) -> bool:
    return document.api_version.startswith(("argoproj.io/", "retrain.dev/")) or document.kind in {"Sensor", "EventBus"}


def _bodies(documents: Iterable[Document], kind: str) -> list[Mapping[str, Any]]:
    """Those that have the shape at least that the plan looks at."""
    found = [one.body for one in documents if one.kind == kind and one.api_version.startswith("argoproj.io/")]
    shaped = (one for one in found if isinstance(one.get("spec"), dict) and isinstance(one.get("metadata"), dict))
    return [cast("Mapping[str, Any]", one) for one in shaped]
