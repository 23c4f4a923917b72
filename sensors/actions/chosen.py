"""What an event has chosen of an action's object: marked in the action, where it is anything that rights hang on. Pure.

The action then has `chosen`, a list of `{"path", "rule", "value"}`. Whether that may be is decided where the object is
made, by `kubernetes.allow` of its namespace; `sensors explain` shows it before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pipelines.argo_flags import FLAGS, Said, read_flags
from pipelines.kubernetes.guarded import is_ours
from pipelines.kubernetes.guarded_fields import Choice, Rule
from pipelines.kubernetes.policy import Written, to_json
from pipelines.kubernetes.tags import MARKS, TAG
from retrain.errors import Permanent
from retrain.events import JsonValue

Action = dict[str, JsonValue]

REFERENCES = ("WorkflowTemplate", "ClusterWorkflowTemplate")
_MARKS = MARKS | {"generate-name": MARKS["generateName"]}


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
        written_flags, flags = _flags({**action, **self._fields}), _flags(action)
        new = [one for one in flags if one not in written_flags]
        found = self._written(before).chosen(after, _arguments(new))
        found += [*_beside(self._fields, action), *_of_flags(new), *_template(before, after)]
        found += _lost([one for one in written_flags if one not in flags])
        return {**action, "chosen": to_json(found)} if found else action

    def _written(self, resource: dict[str, JsonValue]) -> Written:
        if self._known is None or self._known[0] is not resource:
            self._known = (resource, Written(resource))
        return self._known[1]


def _beside(fields: Action, action: Action) -> Iterator[Choice]:
    for name in ("operation", "patchStrategy", "liveObject"):
        if action.get(name) != fields.get(name):
            yield Choice(name, Rule.OPERATION, str(action.get(name)))


def _flags(action: Action) -> list[Said]:
    """The flags of an `argoWorkflow` action, read as they will be; none where they cannot be read, for then nothing
    comes of it."""
    operation, args = action.get("operation"), action.get("args")
    try:
        return read_flags(operation, args) if args and isinstance(operation, str) and operation in FLAGS else []
    except Permanent:
        return []


def _arguments(flags: Sequence[Said]) -> dict[str, str | None]:
    """As `chosen_arguments` has them."""
    found: dict[str, str | None] = {_MARKS[one.flag]: None for one in flags if one.flag in _MARKS}
    pairs = (one.value.partition("=") for one in flags if one.flag == "parameter")
    return found | {name: value for name, equals, value in pairs if equals}


def _of_flags(flags: Sequence[Said]) -> Iterator[Choice]:
    for said in flags:
        where = f"args.--{said.flag}"
        yield from (Choice(where, Rule.TAG, tag) for tag in TAG.findall(said.value))
        if said.flag == "serviceaccount":
            yield Choice(where, Rule.SERVICE_ACCOUNT, said.value)
        elif said.flag in {"labels", "annotations"}:
            yield from (Choice(where, Rule.METADATA, mark) for mark in said.value.split(",") if is_ours(mark))


def _lost(flags: Sequence[Said]) -> Iterator[Choice]:
    """Without the account that is written there another one counts."""
    if any(one.flag == "serviceaccount" for one in flags):
        yield Choice("args.--serviceaccount", Rule.SERVICE_ACCOUNT, "")


def _template(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> Iterator[Choice]:
    """A WorkflowTemplate is submitted by its name."""
    kind = after.get("kind")
    old, new = (cast("Mapping[str, Any]", one.get("metadata") or {}).get("name") for one in (before, after))
    if kind in REFERENCES and old != new:
        yield Choice("metadata.name", Rule.TEMPLATE, f"{'cluster/' if kind != REFERENCES[0] else ''}{new}")
