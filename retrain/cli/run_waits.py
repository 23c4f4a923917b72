"""What a run that does nothing at this moment waits for, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.pictures.reading import OVER, Node, label_of, nodes_of, plain, waits_for_people

MOST = 3
"""Steps that are named; the tree has them all."""


def waits_of(run: Mapping[str, Any]) -> str:
    """What a run waits for: a person (where, and for which answer), a time, its turn; empty if for none of them.

    `run` is a Workflow object, with its nodes or as a list has it: then only that it waits is known.
    """
    status: Mapping[str, Any] = run.get("status") or {}
    spec: Mapping[str, Any] = run.get("spec") or {}
    if str(status.get("phase") or "Pending") in OVER or spec.get("shutdown"):
        return ""
    if spec.get("suspend"):
        return "a person, who resumes it"
    if places := [_place(node, spec) for node in nodes_of(run).values() if waits_for_people(node)]:
        more = f" and {len(places) - MOST} more" if len(places) > MOST else ""
        return "; ".join(dict.fromkeys(places[:MOST])) + more
    if status.get("parked"):
        return f"its time, {status['wakes']}" if status.get("wakes") else "a person"
    return "" if status.get("startedAt") or status.get("message") else "its turn"


def _place(node: Node, spec: Mapping[str, Any]) -> str:
    template = _template(node, spec)
    if duration := (template.get("suspend") or {}).get("duration"):
        return f"its time at {label_of(node)} ({plain(str(duration))})"
    asked = list(_asked(template))
    return f"a person at {label_of(node)}" + (f", who says {' and '.join(asked)}" if asked else "")


def _template(node: Node, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    templates: Sequence[Mapping[str, Any]] = spec.get("templates") or ()
    return next((one for one in templates if one.get("name") == node.get("templateName")), {})


def _asked(template: Mapping[str, Any]) -> Iterator[str]:
    """The outputs that a person is to supply, each with the values that may be chosen."""
    outputs, inputs = (_parameters(template, key) for key in ("outputs", "inputs"))
    enums = {one.get("name"): one.get("enum") for one in inputs}
    for one in outputs:
        if "supplied" in (one.get("valueFrom") or {}):
            choices = ", ".join(str(choice) for choice in enums.get(one.get("name")) or ())
            yield plain(f"{one.get('name')} ({choices})" if choices else str(one.get("name")))


def _parameters(template: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    return (template.get(key) or {}).get("parameters") or ()
