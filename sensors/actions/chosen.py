"""What an event has chosen of an action's object: marked in the action, where it is anything that rights hang on. Pure.

The action then has `chosen`, a list of `{"path", "rule", "value"}`. Whether that may be is decided where the object is
made, by `kubernetes.allow` of its namespace; `sensors explain` shows it before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pipelines.kubernetes.guarded import is_ours
from pipelines.kubernetes.guarded_fields import Choice, Rule
from pipelines.kubernetes.policy import Written, to_json
from retrain.events import JsonValue

Action = dict[str, JsonValue]

REFERENCES = ("WorkflowTemplate", "ClusterWorkflowTemplate")
_FLAGS = {
    "-p": "parameter",
    "--parameter": "parameter",
    "--serviceaccount": "serviceaccount",
    "-l": "labels",
    "--labels": "labels",
    "--annotations": "annotations",
}
"""Of the flags that `argo submit` takes, those that rights may hang on."""


class Guard:
    """Compares actions with what the sensor says without any event.

    `fields`: of the action, beside its object. `resource`: the object; left out where `marked` is told it each time.
    """

    def __init__(self, fields: Action, resource: JsonValue = None) -> None:
        self._fields = fields
        self._resource = resource
        self._known: tuple[JsonValue, Written] | None = None

    def marked(self, action: Action, written: JsonValue) -> Action:
        """The action, with what an event has chosen. `written`: its object without it, where it is fetched."""
        before = self._resource if self._resource is not None else written
        after = action["resource"]
        if not isinstance(before, dict) or not isinstance(after, dict):
            return action
        if before is after and all(action.get(name) == value for name, value in self._fields.items()):
            return action
        flags = [one for one in _flags(action) if one not in _flags({**action, **self._fields})]
        found = self._written(before).chosen(after, _arguments(flags))
        found += [*_beside(self._fields, action), *_of_flags(flags), *_template(before, after)]
        return {**action, "chosen": to_json(found)} if found else action

    def _written(self, resource: dict[str, JsonValue]) -> Written:
        if self._known is None or self._known[0] is not resource:
            self._known = (resource, Written(resource))
        return self._known[1]


def _beside(fields: Action, action: Action) -> Iterator[Choice]:
    for name in ("operation", "patchStrategy", "liveObject"):
        if action.get(name) != fields.get(name):
            yield Choice(name, Rule.OPERATION, str(action.get(name)))


def _flags(action: Action) -> list[tuple[str, str]]:
    """The flags of an `argoWorkflow` action with their values; what is no flag here is none of the command's either."""
    args = action.get("args")
    waiting = iter([str(one) for one in args] if isinstance(args, list) else [])
    found: list[tuple[str, str]] = []
    for arg in waiting:
        name, equals, value = arg.partition("=") if arg.startswith("--") else (arg[:2], arg[2:], arg[2:])
        if name in _FLAGS:
            found.append((_FLAGS[name], value if equals else next(waiting, "")))
    return found


def _arguments(flags: list[tuple[str, str]]) -> dict[str, str]:
    found = (value.partition("=") for flag, value in flags if flag == "parameter")
    return {name: value for name, equals, value in found if equals}


def _of_flags(flags: list[tuple[str, str]]) -> Iterator[Choice]:
    for flag, value in flags:
        if flag == "serviceaccount":
            yield Choice("args.--serviceaccount", Rule.SERVICE_ACCOUNT, value)
        elif flag in {"labels", "annotations"}:
            marks = (mark for mark in value.split(",") if is_ours(mark))
            yield from (Choice(f"args.--{flag}", Rule.METADATA, mark) for mark in marks)


def _template(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> Iterator[Choice]:
    """A WorkflowTemplate is submitted by its name."""
    kind = after.get("kind")
    old, new = (cast("Mapping[str, Any]", one.get("metadata") or {}).get("name") for one in (before, after))
    if kind in REFERENCES and old != new:
        yield Choice("metadata.name", Rule.TEMPLATE, f"{'cluster/' if kind != REFERENCES[0] else ''}{new}")
