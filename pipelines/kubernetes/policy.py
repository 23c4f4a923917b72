"""What a Workflow, or any object, that an event has shaped may not choose. Pure.

What the user wrote into a sensor is theirs: a service account, a Secret, a privileged container. What differs from that
after an event's values went in is the event's choice (`Written.chosen`), and of guarded fields it may choose only what
`kubernetes.allow` lists for the object's namespace (`check`). Where a value goes by way of an argument into a guarded
field (`serviceAccountName: "{{workflow.parameters.who}}"`) it is the event's choice just as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from posixpath import normpath
from types import MappingProxyType
from typing import Any, cast

from pipelines.kubernetes.guarded import MISSING, differences, is_list
from pipelines.kubernetes.guarded_fields import OPAQUE, Choice, Rule
from pipelines.kubernetes.guarded_places import bringing, has_manifests, manifests, mounts, rights
from pipelines.kubernetes.tags import chosen_arguments, foreign_tags, through_arguments
from retrain.errors import Permanent

JSON_PATCH = "application/json-patch+json"
TAKING = frozenset({"remove", "move", "copy"})
"""Operations of a JSON patch that are about what is on the cluster."""
TOLD = 5
"""Choices that one refusal names."""
SHOWN = 80
"""Characters of a value that a refusal shows."""

ANYTHING = "*"

Lists = Mapping[str, Mapping[Rule, Sequence[str]]]
"""Namespace -> rule -> values; all but the rules are globs."""


class Written:
    """An object as its sensor has it, without anything of an event."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._volumes, self._has_manifests = dict(bringing(document)), has_manifests(document)
        guarded = [*differences(MISSING, document), *(manifests({}, document) if self._has_manifests else ())]
        # Most objects have none: then no argument can lead anywhere.
        self._tagged = [one for one in guarded if "{{" in one.value]

    def chosen(self, rendered: Mapping[str, Any], arguments: Mapping[str, str | None] | None = None) -> list[Choice]:
        """What an event has chosen of what is guarded, in the object that its values made of this one.

        `arguments`: those that it has chosen beside the object, in flags, as `chosen_arguments` has them.
        """
        if rendered is self._document and not arguments:
            return []
        found = list(differences(_seen(self._document), _seen(rendered)))
        found += rights(self._document, rendered)
        found += mounts(self._document, rendered, self._volumes)
        found += _operations(self._document.get("patch"), rendered.get("patch"))
        if not _is_argos(rendered):
            return found
        found += foreign_tags(self._document, rendered)
        found += manifests(self._document, rendered) if self._has_manifests else ()
        if self._tagged:
            values = {**chosen_arguments(self._document, rendered), **(arguments or {})}
            found += through_arguments(self._document, self._tagged, values)
        return found


@dataclass(frozen=True, slots=True)
class Allow:
    """What an operator lets events choose; by default nothing."""

    lists: Lists = field(default_factory=lambda: MappingProxyType({}))

    def takes(self, choice: Choice, namespace: str) -> bool:
        """Whether an event may choose that for an object of this namespace."""
        found = (rules.get(choice.rule, ()) for where, rules in self.lists.items() if fnmatchcase(namespace, where))
        listed = [one for values in found for one in values]
        if "{{" in choice.value and choice.rule is not Rule.TAG:
            return ANYTHING in listed  # what it will be is not known: `/data/{{...}}` may lead anywhere
        value = normpath(choice.value) if choice.rule is Rule.HOST_PATH else choice.value
        return any(fnmatchcase(value, one) for one in listed)


def check(chosen: Sequence[Choice], allow: Allow, namespace: str) -> None:
    """Refuse what an event may not choose. Call it right before an object of `namespace` is made or changed.

    Raises:
        Permanent: it has chosen something that is not listed; the message names the fields, rules and values.
    """
    refused = [one for one in chosen if not allow.takes(one, namespace)]
    if refused:
        more = f"; and {len(refused) - TOLD} more" if len(refused) > TOLD else ""
        raise Permanent(
            f"an event may not choose {'; '.join(map(_told, refused[:TOLD]))}{more}: write it into the sensor, or list "
            f"it in kubernetes.allow of namespace {namespace or '(none)'}; nothing was made or changed"
        )


def to_json(chosen: Sequence[Choice]) -> list[Any]:
    """As an action carries it."""
    return [{"path": one.path, "rule": one.rule.value, "value": one.value} for one in chosen]


def from_json(chosen: Any) -> tuple[Choice, ...]:
    """What `to_json` gave."""
    return tuple(Choice(one["path"], Rule(one["rule"]), one["value"]) for one in chosen or ())


def _told(one: Choice) -> str:
    if not one.value:
        return f"{one.path} (rule {one.rule}: it takes away what is written there)"
    shown = one.value if len(one.value) <= SHOWN else f"{one.value[:SHOWN]}..."
    return f"{one.path} = {shown!r} (rule {one.rule})"


def _is_argos(document: Mapping[str, Any]) -> bool:
    """Whether Argo's controller fills tags in it."""
    version = document.get("apiVersion")
    return version is None or str(version).startswith("argoproj.io/")


def _seen(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object without what no field of it is: data under free names, and the operations of a JSON patch."""
    hidden = (*OPAQUE.get(str(document.get("kind")), ()), "patch")
    return {name: value for name, value in document.items() if name not in hidden}


def _operations(before: Any, after: Any) -> Iterator[Choice]:
    """Of two JSON patches, what the operations that are not the same put where."""
    if after is None or before == after:
        return
    if not is_list(after):
        yield Choice("patch", Rule.OPERATION, str(after))
        return
    old = before if is_list(before) else ()
    for index, operation in enumerate(after):
        was = old[index] if index < len(old) else MISSING
        if operation == was:
            continue
        if (op := _op(operation)) in TAKING:  # what is there and goes, nobody sees here
            yield Choice(f"patch.{index}", Rule.OPERATION, f"{op} {operation.get('from') or operation.get('path')}")
        for one in differences(_nested(was) if _op(was) == op else MISSING, _nested(operation)):
            yield Choice(f"patch.{index}.{one.path}", one.rule, one.value)


def _op(operation: Any) -> str:
    return str(operation.get("op")) if isinstance(operation, Mapping) else ""


def _nested(operation: Any) -> Any:
    """An operation as the object of which it says one field; MISSING where it is none."""
    if not isinstance(operation, Mapping):
        return MISSING
    found = cast("Mapping[str, Any]", operation)
    value: Any = found.get("value")
    if "from" in found:
        value = f"what is at {found['from']}"
    for part in reversed([one.replace("~1", "/").replace("~0", "~") for one in str(found.get("path")).split("/")[1:]]):
        value = {part: value}
    return value
