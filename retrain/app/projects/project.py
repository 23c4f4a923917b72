"""A project: all documents of some files and directories, checked one by one and against each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from retrain.app.projects import plugins
from retrain.app.projects.catalog import KINDS, OURS, Changed, Item, build, check_workflows
from retrain.app.projects.dest_checks import check_dests
from retrain.app.projects.known import Known
from retrain.app.projects.payload_checks import check_paths
from retrain.events import OWN_SOURCE
from retrain.manifests import Document, Finding, Kinds, Loaded, Problem, Severity, read_paths

"""The source of the platform's own events: every sensor may depend on it."""


@dataclass(frozen=True, slots=True)
class Project:
    """What was found. A document with an error is in `findings` only; use nothing of a project that has errors."""

    event_sources: tuple[Item, ...] = ()
    sensors: tuple[Item, ...] = ()
    workflow_templates: tuple[Item, ...] = ()
    """WorkflowTemplates and ClusterWorkflowTemplates; `document.kind` tells them apart."""
    workflows: tuple[Item, ...] = ()
    cron_workflows: tuple[Item, ...] = ()
    event_bindings: tuple[Item, ...] = ()
    """WorkflowEventBindings."""
    promotions: tuple[Item, ...] = ()
    config_maps: tuple[Item, ...] = ()
    secrets: tuple[Item, ...] = ()
    volume_claims: tuple[Item, ...] = ()
    findings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Files that a directory holds and that are no manifests of ours."""
    documents: int = 0

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid using the project."""
        return tuple(f for f in self.findings if f.severity == "error")


_PLACES = {
    "EventSource": "event_sources",
    "Sensor": "sensors",
    "WorkflowTemplate": "workflow_templates",
    "ClusterWorkflowTemplate": "workflow_templates",
    "Workflow": "workflows",
    "CronWorkflow": "cron_workflows",
    "WorkflowEventBinding": "event_bindings",
    "Promotion": "promotions",
    "ConfigMap": "config_maps",
    "Secret": "secrets",
    "PersistentVolumeClaim": "volume_claims",
}

_WORKFLOWS = frozenset({"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"})


def load_project(
    paths: Iterable[str | Path],
    beside: Iterable[str | Path] = (),
    known: Known | None = None,
    changed: Changed | None = None,
) -> Project:
    """Read all documents of files and directories. Never raises because of what they hold.

    `beside`: where else referred things may be found. What is wrong there is nobody's business here: a document with an
    error is passed over, and so is every Workflow, every document that `paths` have too, and a second of one name.
    `known`: what of them was read before; only files that have changed since are read. `changed`: what becomes of a
    Workflow before it is checked, as its parameters are given; the document in the project stays as it is written.
    """
    return project_of(read_paths(paths, known.load if known else None), beside, known, changed)


def project_of(
    loaded: Loaded,
    beside: Iterable[str | Path] = (),
    known: Known | None = None,
    changed: Changed | None = None,
) -> Project:
    """The project of documents that are there already, wherever they come from. As `load_project` else."""
    installed = plugins.installed()
    findings = list(loaded.findings)
    places: dict[str, list[Item]] = {place: [] for place in _PLACES.values()}
    for document in loaded.documents:
        item, found = known.build(document, installed) if known else build(document, installed)
        findings += found
        if item is not None and document.kind in _PLACES:
            places[_PLACES[document.kind]].append(item)
    around = list(_around(loaded.documents, beside, installed))
    for item in around:
        places[_PLACES[item.document.kind]].append(item)
    documents = [*loaded.documents, *(item.document for item in around)]
    findings += _cross_check(places, documents, set(loaded.files), changed)
    order = {file: index for index, file in enumerate(loaded.files)}
    if known:
        known.forget_unused()
    findings.sort(key=lambda f: (order.get(f.file, -1), f.line, f.column))
    return Project(
        **{place: tuple(items) for place, items in places.items()},
        findings=tuple(findings),
        files=loaded.files,
        skipped=loaded.skipped,
        documents=len(loaded.documents),
    )


def _around(own: Sequence[Document], beside: Iterable[str | Path], installed: Mapping[str, Kinds]) -> Iterator[Item]:
    taken = {(one.kind, one.namespace, one.name) for one in own}
    for document in read_paths(beside).documents:
        key = (document.kind, document.namespace, document.name)
        if document.kind not in _PLACES or document.kind == "Workflow" or key in taken:
            continue
        taken.add(key)
        item, _ = build(document, installed)
        if item is not None:
            yield item


def _cross_check(
    places: dict[str, list[Item]], documents: Sequence[Document], files: set[str], changed: Changed | None
) -> list[Finding]:
    """What is wrong between documents, as far as it is found in `files`."""
    between = [f for f in _between([d for d in documents if (d.api_version, d.kind) in KINDS]) if f.file in files]
    # Upstream's words for the same mistake, without its place and the nearest name.
    told = {(f.file, f.kind, f.name) for f in between if f.code == "unknown-template"}
    checked_kinds = ("workflows", "workflow_templates", "cron_workflows", "event_bindings")
    workflows = [one for kind in checked_kinds for one in places[kind] if one.document.file in files]
    checked = check_workflows(workflows, places["workflow_templates"] + places["config_maps"], changed)
    wanted = (f for f in checked if f.code != "template-reference" or (f.file, f.kind, f.name) not in told)
    return [*wanted, *between]


def _between(documents: Sequence[Document]) -> Iterator[Finding]:
    """What is wrong between documents, broken ones included, so that one run says all there is to say."""
    names = _Names.of(documents)
    yield from names.duplicates
    for document in documents:
        if document.kind == "Sensor":
            problems = _sensor(document, names)
        elif document.kind in _WORKFLOWS:
            problems = _templates(document.body.get("spec"), ("spec",), names, "error")
        else:
            continue
        yield from (document.finding(problem) for problem in problems)


def check_sensor(document: Document, beside: Sequence[Document]) -> list[Finding]:
    """What is wrong between a Sensor that is no part of a project and the documents of one."""
    names = _Names.of(beside)
    return [document.finding(problem) for problem in _sensor(document, names)]


@dataclass(frozen=True, slots=True)
class _Names:
    """What can be referred to."""

    sources: dict[str, dict[str, str]]
    """Of each EventSource the events, with the kind of source that each is of."""
    bound: dict[tuple[str, str], str]
    """(EventSource, event) -> the kind of source, the same once more."""
    templates: set[str]
    cluster_templates: set[str]
    promotions: dict[str, list[str]]
    """Of each Promotion its environments, as far as they can be read."""
    duplicates: list[Finding]

    @classmethod
    def of(cls, documents: Iterable[Document]) -> _Names:
        names = cls({}, {}, set(), set(), {}, [])
        first: dict[tuple[str, str, str], Document] = {}
        for document in documents:
            name = _mapping(document.body.get("metadata")).get("name")
            if document.kind not in _PLACES or not isinstance(name, str):
                continue
            names._add(document, name)
            other = first.setdefault((document.kind, document.namespace, name), document)
            if other is not document:
                message = f"a second {document.kind} named {name!r}; the first is in {other.file}:{other.line}"
                names.duplicates.append(document.finding(Problem(("metadata", "name"), "duplicate-name", message)))
        return names

    def _add(self, document: Document, name: str) -> None:
        match document.kind:
            case "EventSource":
                kinds = _mapping(document.body.get("spec")).items()
                events = {event: kind for kind, members in kinds if kind != "template" for event in _mapping(members)}
                self.sources.setdefault(name, {}).update(events)
                self.bound.update({(name, event): kind for event, kind in events.items()})
            case "WorkflowTemplate":
                self.templates.add(name)
            case "ClusterWorkflowTemplate":
                self.cluster_templates.add(name)
            case "Promotion":
                self.promotions[name] = _environments(_mapping(document.body.get("spec")))
            case _:
                pass


def _environments(spec: dict[str, Any]) -> list[str]:
    several = [_mapping(one).get("name") for one in _list(spec.get("environments"))]
    return [name for name in (several or [spec.get("environment")]) if isinstance(name, str)]


def _sensor(document: Document, names: _Names) -> Iterator[Problem]:
    spec = _mapping(document.body.get("spec"))
    if names.sources:  # a sensor alone is not compared with sources that are elsewhere
        for index, dependency in enumerate(_list(spec.get("dependencies"))):
            yield from _dependency(_mapping(dependency), ("spec", "dependencies", index), names)
    yield from check_paths(document.body, names.bound)
    yield from check_dests(document.body)
    for index, trigger in enumerate(_list(spec.get("triggers"))):
        template = _mapping(_mapping(trigger).get("template"))
        path = ("spec", "triggers", index, "template")
        yield from _promotion(template, path, names)
        # Upstream's sensors may rely on templates that the cluster has; ours say all they need.
        severity: Severity = "error" if document.api_version == OURS else "warning"
        for kind in ("argoWorkflow", "k8s"):
            source = _mapping(_mapping(template.get(kind)).get("source"))
            yield from _templates(
                _mapping(source.get("resource")), (*path, kind, "source", "resource"), names, severity
            )


def _dependency(dependency: dict[str, Any], path: tuple[str | int, ...], names: _Names) -> Iterator[Problem]:
    source, event = dependency.get("eventSourceName"), dependency.get("eventName")
    if source == OWN_SOURCE or not isinstance(source, str) or _is_pattern(source):
        return
    if source not in names.sources:
        message = f"no EventSource is named {source!r}{_hint(source, [*names.sources, OWN_SOURCE])}"
        yield Problem((*path, "eventSourceName"), "unknown-source", message, "warning")
    elif isinstance(event, str) and event not in names.sources[source] and not _is_pattern(event):
        message = f"the EventSource {source!r} has no event {event!r}{_hint(event, names.sources[source])}"
        yield Problem((*path, "eventName"), "unknown-source", message, "warning")


def _is_pattern(name: str) -> bool:
    """Whether it stands for several names."""
    return "*" in name or "?" in name


def _promotion(template: dict[str, Any], path: tuple[str | int, ...], names: _Names) -> Iterator[Problem]:
    wanted = _mapping(template.get("promotion"))
    name, environment = wanted.get("name"), wanted.get("environment")
    if not isinstance(name, str):
        return
    if name not in names.promotions:
        message = f"no Promotion is named {name!r}{_hint(name, names.promotions)}"
        yield Problem((*path, "promotion", "name"), "unknown-promotion", message)
    elif isinstance(environment, str) and environment not in (known := names.promotions[name]):
        message = f"the Promotion {name!r} has no environment {environment!r}{_hint(environment, known)}"
        yield Problem((*path, "promotion", "environment"), "unknown-environment", message)


def _templates(value: Any, path: tuple[str | int, ...], names: _Names, severity: Severity) -> Iterator[Problem]:
    """References to templates that no document has, anywhere in a workflow. A name with {{ is known only in the run."""
    if isinstance(value, list):
        for index, member in enumerate(cast("list[Any]", value)):
            yield from _templates(member, (*path, index), names, severity)
        return
    for key, member in _mapping(value).items():
        if key not in {"templateRef", "workflowTemplateRef"}:
            yield from _templates(member, (*path, key), names, severity)
            continue
        reference = _mapping(member)
        name, in_cluster = reference.get("name"), bool(reference.get("clusterScope"))
        known = names.cluster_templates if in_cluster else names.templates
        if isinstance(name, str) and name not in known and "{{" not in name:
            kind = "ClusterWorkflowTemplate" if in_cluster else "WorkflowTemplate"
            message = f"no {kind} is named {name!r}{_hint(name, known)}"
            yield Problem((*path, key, "name"), "unknown-template", message, severity)


def _hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
