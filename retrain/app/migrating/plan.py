"""What to do, in which order, so that no event is lost on the way from Argo Events. Pure.

Who takes the intake away before somebody else has it loses events; who lets two act on one event acts twice. So the
new platform first collects without acting (Sensors suspended), then the intake moves, the old bus runs dry, and the new
Sensors act on what has gathered.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain.app.migrating.facts.beside import Beside, events_of
from retrain.app.migrating.surroundings import CONTROLLER, HOOK, OWN_SERVICE, PODS, SERVERS, SERVICE, Around
from retrain.events import JsonValue

FINALIZERS = frozenset({"eventbus-controller", "eventsource-controller", "sensor-controller"})
"""Of Argo Events' controller, on its objects: as long as they stand there, only that controller lets an object go."""
PLURALS = {"EventBus": "eventbus", "EventSource": "eventsources", "Sensor": "sensors"}
SHOWN = 6
"""Names that a sentence has at most."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `commands` can be pasted into a shell."""

    title: str
    why: str
    commands: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """As scripts read it."""
        return {"title": self.title, "why": self.why, "commands": list(self.commands)}


@dataclass(frozen=True, slots=True)
class Scene:
    """What the plan is made of: the objects' bodies, and what stands around them."""

    sources: Sequence[Mapping[str, Any]]
    sensors: Sequence[Mapping[str, Any]]
    around: Sequence[Around]
    namespaces: Sequence[str]
    refused: Sequence[str] = ()
    """What cannot be taken over, by kind and name."""
    buses: Sequence[Mapping[str, Any]] = ()

    def roles(self, *roles: str) -> list[Around]:
        """What is of these roles."""
        return [one for one in self.around if one.role in roles]


def plan(scene: Scene) -> list[Step]:
    """The steps, in order; those that there is nothing to do for are left out."""
    steps = [
        _mend(scene),
        _rights(scene),
        _hold_still(scene),
        _suspended(scene),
        _begin(scene),
        _called(scene),
        _own_services(scene),
        _end_sources(scene),
        _act(scene),
        _remove(scene),
    ]
    return [step for step in steps if step is not None]


def _mend(scene: Scene) -> Step | None:
    if not scene.refused:
        return None
    why = f"what follows holds once nothing is refused: {_listed(scene.refused)}"
    return Step("Mend or replace what is refused", why)


def _rights(scene: Scene) -> Step | None:
    accounts: dict[tuple[str, str], list[str]] = {}
    for body in scene.sensors:
        template: Any = body["spec"].get("template") or {}
        if account := template.get("serviceAccountName"):
            key = (_namespace(body), str(account))
            accounts.setdefault(key, []).append(_name(body))
    if not accounts:
        return None
    told = "; ".join(f"{name} ({_listed(of)})" for (_, name), of in accounts.items())
    return Step(
        "Give the platform's service account what the sensors' accounts may",
        f"the platform acts itself, not in pods of its own for each sensor: {told}",
        tuple(
            f"kubectl get rolebindings,clusterrolebindings -A -o wide | grep -w {name}"
            for name in dict.fromkeys(n for _, n in accounts)
        ),
    )


def _hold_still(scene: Scene) -> Step | None:
    controllers = scene.roles(CONTROLLER, HOOK)
    if not controllers and not _from_cluster(scene):
        return Step(
            "Stop the controller of Argo Events, not its pods",
            "sources and sensors go on running; nobody changes them meanwhile",
            ("kubectl -n argo-events scale deployment controller-manager --replicas=0",),
        )
    commands = tuple(f"kubectl -n {one.namespace} scale deployment {one.name} --replicas=0" for one in controllers)
    if not commands:
        return None
    why = "sources and sensors go on running; nobody changes them meanwhile"
    return Step("Stop the controller of Argo Events, not its pods", why, commands)


def _suspended(scene: Scene) -> Step | None:
    commands = [f"kubectl -n {ns} annotate sensors.argoproj.io --all retrain.dev/mode=suspended" for ns in _all(scene)]
    if not scene.sensors:
        return None
    why = "until then Argo Events acts; what comes meanwhile waits in the log, and no event acts twice"
    return Step("Suspend the sensors for the new platform alone: Argo Events does not read this", why, tuple(commands))


def _begin(scene: Scene) -> Step:
    named = _all(scene)
    where = f"--namespace {named[0]}" if len(named) == 1 else "--all-namespaces"
    shared = sorted({f"{kind} {_name(body)}/{event}" for body, kind, event, who in _events(scene) if who is SHARED})
    why = "its sources begin to collect"
    if shared:
        why += f"; with these it takes a share of the messages from now on, and keeps them: {_listed(shared)}"
    return Step("Start Retrain beside it", why, (f"retrain up --kubernetes {where}",))


BOTH, CALLED, SHARED = Beside.BOTH, Beside.CALLED, Beside.SHARED


def _called(scene: Scene) -> Step | None:
    called = [(body, event) for body, _, event, who in _events(scene) if who is CALLED]
    served = {f"{_namespace(b)}/{_name(b)}" for b, _ in called if (b["spec"].get("service") or {}).get("ports")}
    there = {f"{one.namespace}/{one.of.removeprefix('EventSource ')}" for one in scene.roles(SERVICE)}
    names = sorted(served | there)
    if not names:
        return None
    return Step(
        "Let the Services of called sources point to the new platform",
        "same names and ports, so Ingresses stay as they are; what comes from now on is kept here",
        tuple(
            f"kubectl -n {ns} annotate eventsources.argoproj.io {name} retrain.dev/service=switch"
            if ns
            else f"kubectl annotate eventsources.argoproj.io {name} retrain.dev/service=switch"
            for ns, _, name in (one.partition("/") for one in names)
        ),
    )


def _own_services(scene: Scene) -> Step | None:
    own = scene.roles(OWN_SERVICE)
    if not own:
        return None
    told = _listed([f"{one.namespace}/{one.name} (to {one.of})" for one in own])
    return Step(
        "Change the selector of Services that you made yourselves",
        f"they choose pods of Argo Events, and Retrain touches no Service that is not its own: {told}. "
        "So it goes where Retrain's pod is in the same namespace; else give the EventSource `service.ports`, and call "
        "the Service that this makes",
        tuple(
            f"kubectl -n {one.namespace} patch service {one.name} --type json -p "
            '\'[{"op": "replace", "path": "/spec/selector", "value": {"app.kubernetes.io/name": "retrain"}}]\''
            for one in own
        ),
    )


def _end_sources(scene: Scene) -> Step | None:
    if not scene.sources:
        return None
    pods = [one for one in scene.roles(PODS) if one.of.startswith("EventSource ")]
    both = sorted({f"{kind} {_name(body)}/{event}" for body, kind, event, who in _events(scene) if who is BOTH})
    why = "its sensors go on with what the old bus still holds"
    if both:
        why += f"; what both have seen since Retrain began acts twice, so be quick with: {_listed(both)}"
    commands = tuple(f"kubectl -n {one.namespace} scale deployment {one.name} --replicas=0" for one in pods)
    return Step("Stop the sources of Argo Events", why, commands or _by_label(scene, "eventsource-controller"))


def _act(scene: Scene) -> Step | None:
    if not scene.sensors:
        return None
    pods = [one for one in scene.roles(PODS) if one.of.startswith("Sensor ")]
    stop = tuple(f"kubectl -n {one.namespace} scale deployment {one.name} --replicas=0" for one in pods)
    go = tuple(f"kubectl -n {ns} annotate sensors.argoproj.io --all retrain.dev/mode-" for ns in _all(scene))
    why = "once their logs are still, nothing waits in the old bus; the new sensors act on what has"
    return Step(
        "Stop the sensors of Argo Events, and let those here act",
        f"{why} gathered; a half of an `&&` that waits in the old bus is not taken over",
        (*(stop or _by_label(scene, "sensor-controller")), *go),
    )


def _remove(scene: Scene) -> Step:
    gone = [one for one in scene.around if one.role in {PODS, SERVERS, CONTROLLER, HOOK}]
    commands = [f"kubectl -n {one.namespace} delete {one.kind.lower()} {one.name}" for one in gone]
    held = [one for one in (*scene.sources, *scene.sensors, *scene.buses) if _finalizers(one) & FINALIZERS]
    why = "keep the CRDs and the EventSource, Sensor and EventBus objects: they are what Retrain reads, "
    why += "and deleting a CRD deletes its objects. Until here all of it can be taken back by scaling up again"
    if held:
        why += "; last the finalizers of the controller: without it nobody else would ever let a deleted object go"
    return Step("Some days later: remove what runs no more", why, (*commands, *map(_let_go, held)))


def _let_go(body: Mapping[str, Any]) -> str:
    others = sorted(_finalizers(body) - FINALIZERS)
    patch = json.dumps({"metadata": {"finalizers": others or None}}, separators=(",", ":"))
    plural = PLURALS[str(body["kind"])]
    return f"kubectl -n {_namespace(body)} patch {plural}.argoproj.io {_name(body)} --type merge -p '{patch}'"


def _finalizers(body: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(map(str, body["metadata"].get("finalizers") or ()))


def _by_label(scene: Scene, controller: str) -> tuple[str, ...]:
    """For who reads files: the names of the Deployments are not known."""
    label = f"controller={controller}"
    return tuple(f"kubectl -n {ns} scale deployment -l {label} --replicas=0" for ns in _all(scene))


def _events(scene: Scene) -> Iterable[tuple[Mapping[str, Any], str, str, Beside]]:
    return ((body, *event) for body in scene.sources for event in events_of(body))


def _from_cluster(scene: Scene) -> bool:
    return bool(scene.around)


def _all(scene: Scene) -> list[str]:
    named = {_namespace(body) for body in (*scene.sources, *scene.sensors)} - {""}
    return sorted(named | set(scene.namespaces)) or ["NAMESPACE"]


def _listed(names: Sequence[str]) -> str:
    shown = list(names)[:SHOWN]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _name(body: Mapping[str, Any]) -> str:
    return str(body["metadata"].get("name") or "")


def _namespace(body: Mapping[str, Any]) -> str:
    return str(body["metadata"].get("namespace") or "")
