"""What a user writes as an EventSource: `argoproj.io/v1alpha1` as Argo Events has it, or `retrain.dev/v1`.

One model serves both. Each kind brings its own part: see `kinds.py`. `check` says what is wrong with a document of the
right shape, and refuses by name (`unsupported-kind`, `unsupported-field`) what is known and not built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, create_model

from eventsources.fields import Path, check_limits
from eventsources.filters import check_expression
from eventsources.kinds import BUILT_IN, UPSTREAM
from retrain.events import JsonValue
from retrain.manifests import Pluggable, Plugged, Problem, describe, problems
from retrain.manifests.argo import ObjectMeta, Shape

ARGO = "argoproj.io/v1alpha1"
_OF_PODS = ("template", "service", "replicas", "eventBusName")

BUILT = tuple(BUILT_IN)
"""The kinds of which the spec knows every field; `eventsources.KINDS` runs them."""

KNOWN = tuple(dict.fromkeys((*UPSTREAM, *BUILT)))
"""Every kind that Argo Events has, and ours."""


class EventSourceSpec(Shape, Pluggable):
    """One map for each kind of source, by event name. `template`, `service` and such tell of pods: unused here.

    A kind may be a plugin's, also one that Argo Events has and that is not built here.
    """

    built_in: ClassVar[frozenset[str]] = frozenset({*BUILT, *_OF_PODS})

    event_bus_name: str = ""
    replicas: int | None = None
    service: JsonValue = None
    template: JsonValue = None

    def entries(self, kind: str) -> dict[str, Any]:
        """The sources of one kind that is built or a plugin's, by event name: each as its kind's own model has it."""
        if (plugged := self.plugged.get(kind)) is None:
            return getattr(self, kind)
        named = plugged.body if isinstance(plugged.body, dict) else {}
        return {name: plugged.read(body) for name, body in named.items()}

    @property
    def runnable(self) -> tuple[str, ...]:
        """The kinds that can run."""
        return (*BUILT, *self.plugged)


def _with_kinds() -> type[EventSourceSpec]:
    """The spec with a field for each kind, named as users write it; those that are not built take anything."""
    fields: dict[str, Any] = {}
    for kind in KNOWN:
        body = BUILT_IN[kind].Spec if kind in BUILT_IN else JsonValue
        fields[kind] = (dict[str, body], Field(default={}, alias=kind))
    made: Any = create_model("EventSourceSpec", __base__=EventSourceSpec, __doc__=EventSourceSpec.__doc__, **fields)
    return made


if TYPE_CHECKING:
    _Spec = EventSourceSpec
else:
    _Spec = _with_kinds()


class EventSourceDocument(BaseModel):
    """A whole EventSource."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    api_version: str = Field(alias="apiVersion")
    kind: str
    metadata: ObjectMeta = ObjectMeta()
    spec: _Spec
    status: JsonValue = None

    @property
    def name(self) -> str:
        """What events carry as their source."""
        return self.metadata.name

    @property
    def ours(self) -> bool:
        """Whether it is a retrain.dev/v1 one, with what only that has."""
        return self.api_version != ARGO


def check(document: EventSourceDocument) -> Iterator[Problem]:
    """What is wrong with an EventSource that has the right shape."""
    spec = document.spec
    if not document.name:
        yield Problem(("metadata",), "missing-field", "metadata.name is missing; events carry it as their source")
    yield from _check_plugged(spec.plugged.values())
    entries: dict[str, dict[str, Any]] = {kind: getattr(spec, kind) for kind in KNOWN}
    entries |= {kind: one.body for kind, one in spec.plugged.items() if isinstance(one.body, dict)}
    if not any(entries.values()):
        yield Problem(("spec",), "missing-field", "spec names no event source: add one, such as webhook or minio")
    yield from _check_pods(document)
    yield from _check_names(entries)
    for kind, named in entries.items():
        if named and kind not in spec.runnable:
            instead = f"; instead: {UPSTREAM[kind]}" if UPSTREAM[kind] else " yet"
            yield Problem(("spec", kind), "unsupported-kind", f"eventSource kind {kind!r} is not built{instead}")
    for kind in BUILT:
        yield from _check_kind(kind, entries[kind], ours=document.ours)
    yield from _check_routes({kind: entries[kind] for kind in BUILT})


def _check_kind(kind: str, named: Mapping[str, Any], *, ours: bool) -> Iterator[Problem]:
    if named and not ours and kind not in UPSTREAM:
        message = f"{kind} is a kind of retrain.dev/v1; change apiVersion to use it"
        yield Problem(("spec", kind), "unknown-field", message)
    for name, spec in named.items():
        path: Path = ("spec", kind, name)
        yield from check_expression(path, spec, ours=ours or kind not in NO_EXPRESSION)
        yield from check_limits(path, spec, ours=ours)
        yield from BUILT_IN[kind].check(path, spec, ours)


NO_EXPRESSION = ("minio", "storagegrid", "stripe", "resource")
"""Kinds whose filter has no expression in Argo Events."""


def _check_routes(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """That no two entries want the same requests. A spec that is called has `routes()`: (port, METHOD, /path)."""
    taken: dict[tuple[str, str, str], str] = {}
    for kind, named in entries.items():
        for name, spec in named.items():
            for route in spec.routes() if hasattr(spec, "routes") else ():
                other = taken.setdefault(route, name)
                if other == name:
                    continue
                place = ("endpoint",) if "endpoint" in type(spec).model_fields else ("webhook", "endpoint")
                message = f"{route[1]} {route[2]} on this port goes to {other!r} already; change one of the endpoints"
                yield Problem(("spec", kind, name, *place), "duplicate-route", message)


def _check_plugged(plugged: Iterable[Plugged]) -> Iterator[Problem]:
    """The kinds of plugins: each is a map by event name, and what stands there is the plugin's own."""
    for one in plugged:
        at = ("spec", one.name)
        if not isinstance(one.body, dict):
            yield Problem(at, "wrong-type", f"must be a mapping of event names, not {describe(one.body)}")
            continue
        for name, body in one.body.items():
            if not isinstance(body, dict):
                yield Problem((*at, name), "wrong-type", f"must be a mapping, not {describe(body)}")
            elif one.Spec is not None:
                yield from problems(one.Spec, body, (*at, name))


def _check_pods(document: EventSourceDocument) -> Iterator[Problem]:
    written = {str(type(document.spec).model_fields[name].alias) for name in document.spec.model_fields_set}
    for name in _OF_PODS:
        if document.ours and name in written:
            message = f"{name} tells Argo Events of its pods; there are none here, so it changes nothing"
            yield Problem(("spec", name), "ignored-field", message, "warning")


def _check_names(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for kind, named in entries.items():
        for name in named:
            if not name:
                yield Problem(("spec", kind, name), "wrong-value", "an event's name must not be empty")
            other = first.setdefault(name, kind)
            if other != kind:
                message = f"event name {name!r} is taken by {other}; names are unique over all kinds of one EventSource"
                yield Problem(("spec", kind, name), "duplicate-name", message)
