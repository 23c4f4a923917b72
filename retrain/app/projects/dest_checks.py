"""Where the parameters of a Sensor put their values: a `dest` that leads to nothing that anybody reads is said so.

Each is tried: a value is put there, and what comes out is looked at. Of a Workflow, and of a trigger's own template,
the fields are known; of any other object only that a selection finds nothing and that a list would be padded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel

from retrain.errors import ConfigError
from retrain.expressions import compile_dest, set_value
from retrain.manifests import Problem, problems

Where = tuple[str | int, ...]

_MARK = "value-of-a-parameter"
OBJECTS = ("argoWorkflow", "k8s")


def check_dests(body: Mapping[str, Any]) -> Iterator[Problem]:
    """Parameters of a Sensor's document that put their value where it does nothing."""
    triggers = _list(_mapping(body.get("spec")).get("triggers"))
    for index, one in enumerate(triggers):
        trigger = _mapping(one)
        at: Where = ("spec", "triggers", index)
        template = _mapping(trigger.get("template"))
        yield from _in_template(trigger.get("parameters"), template, (*at, "parameters"))
        for kind in OBJECTS:
            action = _mapping(template.get(kind))
            resource = _mapping(action.get("source")).get("resource")
            if isinstance(resource, dict):
                yield from _in_object(action.get("parameters"), resource, (*at, "template", kind, "parameters"))


def _in_template(parameters: Any, template: Mapping[str, Any], at: Where) -> Iterator[Problem]:
    if not _list(parameters) or not template:
        return
    from sensors.trigger_spec import Template

    yield from _try(parameters, dict(template), Template, at)


def _in_object(parameters: Any, resource: Any, at: Where) -> Iterator[Problem]:
    if not _list(parameters):
        return
    from pipelines.spec import DOCUMENTS

    yield from _try(parameters, resource, DOCUMENTS.get(str(resource.get("kind"))), at)


def _try(parameters: Any, document: Any, model: type[BaseModel] | None, at: Where) -> Iterator[Problem]:
    known: Collection[Where] | None = None
    for index, one in enumerate(_list(parameters)):
        dest = _mapping(one).get("dest")
        if not isinstance(dest, str) or not dest:
            continue
        try:
            changed = set_value(document, compile_dest(dest), _MARK)
        except ConfigError:
            continue  # said where the dest is checked by itself, or only when a value is there
        wrong = _misses(dest, document, changed)
        if wrong is None and model is not None and _adds(document, changed):
            # Reading the whole object takes a millisecond; most parameters replace a value that is there.
            known = _unknown_fields(model, document).keys() if known is None else known
            fresh = (message for path, message in _unknown_fields(model, changed).items() if path not in known)
            wrong = next((f"dest {dest!r}: {message}" for message in fresh), None)
        if wrong is not None:
            yield Problem((*at, index, "dest"), "unknown-dest", wrong, "warning")


def _misses(dest: str, before: Any, after: Any) -> str | None:
    if after == before:
        return f"dest {dest!r} selects nothing in the object: the value goes nowhere"
    if (gap := _gap(before, after)) is not None:
        return f"dest {dest!r} is beyond the end of a list of {gap}: it would be filled up with nulls"
    return None


def _unknown_fields(model: type[BaseModel], document: Any) -> dict[Where, str]:
    return {one.path: one.message for one in problems(model, document) if one.code == "unknown-field"}


def _adds(before: Any, after: Any) -> bool:
    """Whether a member is there that was not; what is shared by both is passed over."""
    if isinstance(after, dict):
        then, now = _mapping(before), cast("dict[str, Any]", after)
        return any(name not in then or (one is not then[name] and _adds(then[name], one)) for name, one in now.items())
    if isinstance(after, list):
        old, new = _list(before), cast("list[Any]", after)
        return len(old) != len(new) or any(a is not b and _adds(a, b) for a, b in zip(old, new, strict=True))
    return False


def _gap(before: Any, after: Any) -> int | None:
    """The length of the list that was padded; None if none was."""
    if isinstance(after, list):
        old, new = _list(before), cast("list[Any]", after)
        if len(new) > len(old) + 1:
            return len(old)
        pairs = zip(old, new, strict=False)
    elif isinstance(after, dict):
        then = _mapping(before)
        pairs = ((then.get(name), member) for name, member in cast("dict[str, Any]", after).items())
    else:
        return None
    return next((gap for old, new in pairs if old is not new and (gap := _gap(old, new)) is not None), None)


def _mapping(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
