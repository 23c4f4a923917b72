"""The Service of an EventSource, named and shaped as Argo Events has it, so that Ingresses keep working. Pure.

In the pod's own namespace a Service chooses the pod by its labels. Elsewhere labels do not reach: its selector chooses
no pod at all, and an EndpointSlice beside it holds the pod's address. Both belong to the EventSource and go with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from retrain.app.operator.watched import Object

Body = dict[str, Any]

SUFFIX = "-eventsource-svc"
MANAGED_BY = "app.kubernetes.io/managed-by"
OURS = "retrain"
SOURCE = "retrain.dev/eventsource"
"""The label of what we make for an EventSource."""
SWITCH = "retrain.dev/service"
"""The annotation of an EventSource that lets its Service, of Argo Events' making, lead to us: `switch`."""
BEFORE = "retrain.dev/selector-before"
"""The annotation of a switched Service that remembers where it led, for the way back."""
NOBODY = {"retrain.dev/reached-by": "endpoint-slice"}
"""A selector that no pod has. Without any the cluster's controllers leave the endpoints of before as they are, and half
of the calls still go to Argo Events' pods."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where this platform is: its pod's namespace, labels that choose it there, its address ("": not known)."""

    namespace: str
    selector: Mapping[str, str]
    address: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an EventSource asks for. `slice`: None where labels reach."""

    service: Body
    slice: Body | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """What to do about a Service: nothing but to say something (reason and message), or one of these.

    `elsewhere`: it leads to somebody else, so that no EndpointSlice of ours may stand beside it.
    """

    create: bool = False
    change: Body | None = None
    delete: bool = False
    elsewhere: bool = False
    reason: str = ""
    message: str = ""
    warning: bool = False


def name_of(source: Object) -> str:
    """What the Service of an EventSource is called."""
    return f"{source['metadata']['name']}{SUFFIX}"


def wanted(source: Object, place: Place, moved: Mapping[int, int] | None = None) -> Wanted | None:
    """The Service that an EventSource asks for; None: it asks for none, or says nothing that could be one."""
    service = _mapping((source.get("spec") or {}).get("service"))
    ports: Any = service.get("ports")
    if not isinstance(ports, list) or not ports or not all(_is_port(one) for one in cast("list[Any]", ports)):
        return None
    served = [_port(one, moved or {}) for one in cast("list[Body]", ports)]
    near = source["metadata"]["namespace"] == place.namespace
    spec: Body = {"type": "ClusterIP", "ports": served, "selector": dict(place.selector if near else NOBODY)}
    if service.get("clusterIP"):
        spec["clusterIP"] = str(service["clusterIP"])
    body = {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(source, service), "spec": spec}
    return Wanted(body, None if near else _slice(source, place, served))


def decide(source: Object, asked: Wanted | None, found: Object | None) -> Act:
    """What to do about the Service of an EventSource. `found`: the Service of that name that there is."""
    if found is None:
        return Act(create=True, reason="Created", message=f"Service {name_of(source)} is made") if asked else Act()
    if _is_ours(found, source):
        return _keep(asked, found)
    if asked is None:
        return Act()
    if not _belongs(found, source):
        message = f"there is a Service {name_of(source)} of somebody else: it is left alone, and does not lead here"
        message = f"{message}; delete it, or let it choose our pod"
        return Act(reason="ForeignService", message=message, warning=True, elsewhere=True)
    return _of_argo_events(source, asked, found)


# --- what is wanted ------------------------------------------------------------------------------------------------


def _is_port(one: Any) -> bool:
    return isinstance(one, dict) and type(cast("Body", one).get("port")) is int  # `true` is an int, too


def _port(one: Body, moved: Mapping[int, int]) -> Body:
    target = one.get("targetPort") or one["port"]
    try:
        number = int(str(target))
    except ValueError:
        return {"protocol": "TCP", **one}  # a port's name: Argo Events' containers have none either
    return {"protocol": "TCP", **one, "targetPort": moved.get(number, number)}


def _metadata(source: Object, service: Mapping[str, Any]) -> Body:
    own, metadata = _mapping(service.get("metadata")), source["metadata"]
    labels = {**(metadata.get("labels") or {}), **_mapping(own.get("labels")), **labels_of(source)}
    found: Body = {"name": name_of(source), "namespace": metadata["namespace"], "labels": labels}
    if annotations := _mapping(own.get("annotations")):
        found["annotations"] = annotations
    return {**found, "ownerReferences": [_owner(source)]}


def labels_of(source: Object) -> dict[str, str]:
    """By which what is ours is found again."""
    return {MANAGED_BY: OURS, SOURCE: str(source["metadata"]["name"])[:63]}


def _owner(source: Object) -> Body:
    return {
        "apiVersion": source["apiVersion"],
        "kind": source["kind"],
        "name": source["metadata"]["name"],
        "uid": source["metadata"]["uid"],
        "controller": True,
    }


def _slice(source: Object, place: Place, ports: list[Body]) -> Body:
    family = "IPv6" if ":" in place.address else "IPv4"
    metadata = {
        "name": name_of(source),
        "namespace": source["metadata"]["namespace"],
        "labels": {**labels_of(source), "kubernetes.io/service-name": name_of(source)},
        "ownerReferences": [_owner(source)],
    }
    served = [{"name": one.get("name", ""), "port": one["targetPort"], "protocol": one["protocol"]} for one in ports]
    endpoints = [{"addresses": [place.address], "conditions": {"ready": True}}] if place.address else []
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": family,
        "endpoints": endpoints,
        "ports": served,
    }


# --- what is there -------------------------------------------------------------------------------------------------


def _belongs(found: Object, source: Object) -> bool:
    owners = found["metadata"].get("ownerReferences") or ()
    return any(one.get("controller") and one.get("uid") == source["metadata"]["uid"] for one in owners)


def _is_ours(found: Object, source: Object) -> bool:
    labels = found["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY) == OURS and _belongs(found, source)


def _keep(asked: Wanted | None, found: Object) -> Act:
    if asked is None:
        return Act(delete=True, reason="Removed", message=f"Service {found['metadata']['name']} is asked for no more")
    change = _difference(asked.service, found)
    if change is None:
        return Act(reason="Ready", message="")
    message = f"Service {found['metadata']['name']} is brought to what the object says"
    return Act(change=change, reason="Changed", message=message)


def _difference(asked: Body, found: Object) -> Body | None:
    """A merge patch; None where all is as it is wanted."""
    spec, has = asked["spec"], found["spec"]
    same = (
        _leads_so(spec, has)
        and all((found["metadata"].get("labels") or {}).get(k) == v for k, v in asked["metadata"]["labels"].items())
        and _annotated(asked, found)
    )
    if same:
        return None
    metadata = {name: asked["metadata"][name] for name in ("labels", "annotations") if name in asked["metadata"]}
    return {"metadata": metadata, "spec": {"ports": spec["ports"], "selector": _replaced(spec["selector"], has)}}


def _leads_so(spec: Body, has: Mapping[str, Any]) -> bool:
    """Whether a Service has these ports and this selector. What the server fills in beside is its own."""
    if len(has["ports"]) != len(spec["ports"]) or has.get("selector") != spec["selector"]:
        return False
    ports = zip(has["ports"], spec["ports"], strict=True)
    return all({key: one.get(key) for key in asked} == asked for one, asked in ports)


def _annotated(asked: Body, found: Object) -> bool:
    has = found["metadata"].get("annotations") or {}
    return all(has.get(key) == value for key, value in (asked["metadata"].get("annotations") or {}).items())


def _replaced(selector: Mapping[str, str] | None, has: Mapping[str, Any]) -> Body | None:
    """A merge patch that leaves nothing of the old selector."""
    if selector is None:
        return None
    gone: Body = {key: None for key in has.get("selector") or {} if key not in selector}
    return {**gone, **selector}


# --- Services that Argo Events has made for the same object ---------------------------------------------------------


def _of_argo_events(source: Object, asked: Wanted, found: Object) -> Act:
    annotations = found["metadata"].get("annotations") or {}
    switch = (source["metadata"].get("annotations") or {}).get(SWITCH) == "switch"
    if not switch and BEFORE in annotations:
        return _back(found, annotations[BEFORE])
    if not switch:
        message = (
            f"Service {name_of(source)} leads to Argo Events' pods; with the annotation {SWITCH}=switch it leads here"
        )
        return Act(reason="ServiceOfArgoEvents", message=message, warning=True, elsewhere=True)
    spec, has = asked.service["spec"], found["spec"]
    if _leads_so(spec, has):
        return Act(reason="Ready", message="")
    if asked.slice is not None and not asked.slice["endpoints"]:
        message = f"Service {name_of(source)} is not switched: it is in another namespace than our pod"
        message = f"{message}, and kubernetes.address is not set"
        return Act(reason="NoAddress", message=message, warning=True, elsewhere=True)
    change: Body = {"spec": {"selector": _replaced(spec["selector"], has), "ports": spec["ports"]}}
    if BEFORE not in annotations:
        led = {"selector": has.get("selector"), "ports": has["ports"]}
        change["metadata"] = {"annotations": {BEFORE: json.dumps(led, sort_keys=True)}}
    return Act(change=change, reason="Switched", message=f"Service {name_of(source)} leads here now")


def _back(found: Object, before: str) -> Act:
    try:
        led = json.loads(before)
        spec = {"selector": _replaced(led["selector"], found["spec"]), "ports": led["ports"]}
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"the annotation {BEFORE} cannot be read: the Service stays as it is"
        return Act(reason="SwitchedForGood", message=message, warning=True)
    change = {"spec": spec, "metadata": {"annotations": {BEFORE: None}}}
    message = "the Service leads to Argo Events' pods again"
    return Act(change=change, reason="SwitchedBack", message=message, warning=True, elsewhere=True)


def _mapping(value: Any) -> Body:
    """What nobody has judged: a Service's part of an EventSource is the API server's to refuse."""
    return cast("Body", value) if isinstance(value, dict) else {}
