"""`{{inputs.parameters.<source>-<what>}}` in the arguments of a Workflow that a trigger submits, filled from events.

    arguments: {parameters: [{name: data-url, value: "{{inputs.parameters.s3-key}}"}]}

`<source>` is the name of a dependency, else that of an EventSource, else the kind of event (its type; `s3` for what is
S3-shaped). `<what>` is in `VARIABLES`, or a member of the event's body that is a text, number or boolean. Upstream has
nothing like it: there `parameters` say the same. Only what the user wrote is read so, never what an event brought.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import orjson

from retrain.events import JsonValue, format_time
from sensors.actions.match import Match
from sensors.actions.s3_records import s3_object
from sensors.actions.values import RenderError
from sensors.actions.variable_table import VARIABLES
from sensors.filtering.content import Content, ContentError

_VARIABLE = re.compile(r"\{\{\s*inputs\.parameters\.([A-Za-z0-9_.-]+)\s*\}\}", re.ASCII)
MAX_TOLD = 40
"""Variables that a message names."""


def compile_arguments(resource: JsonValue) -> Callable[[Match], JsonValue] | None:
    """What fills the variables in the `spec.arguments.parameters[].value` of a Workflow; None if there are none.

    What it returns gives a new object, and raises RenderError for a variable that no event of the firing has.
    """
    if not isinstance(resource, dict) or resource.get("kind") not in (None, "", "Workflow"):
        return None
    workflow = cast("dict[str, Any]", resource)
    found = [(index, text) for index, text in _values(workflow) if _VARIABLE.search(text)]
    if not found:
        return None

    def fill(match: Match) -> JsonValue:
        spec = workflow["spec"]
        parameters = list(spec["arguments"]["parameters"])
        for index, text in found:
            parameters[index] = {**parameters[index], "value": _fill(text, match)}
        return {**workflow, "spec": {**spec, "arguments": {**spec["arguments"], "parameters": parameters}}}

    return fill


def variables_in(resource: JsonValue) -> list[tuple[int, str]]:
    """The variables in the arguments of a Workflow: the parameter's place in the list, and the variable's name."""
    if not isinstance(resource, dict):
        return []
    values = _values(cast("dict[str, Any]", resource))
    return [(index, name) for index, text in values for name in _VARIABLE.findall(text)]


def _values(resource: dict[str, Any]) -> Iterator[tuple[int, str]]:
    match resource:
        case {"spec": {"arguments": {"parameters": list(parameters)}}}:
            for index, one in enumerate(cast("list[Any]", parameters)):
                match one:
                    case {"value": str(text)}:
                        yield index, text
                    case _:
                        pass
        case _:
            pass


def _fill(text: str, match: Match) -> str:
    return _VARIABLE.sub(lambda found: _resolve(found[1], match), text)


def _resolve(name: str, match: Match) -> str:
    events = {one: content for one in match.members if (content := match.last(one)) is not None}
    for names_of in (_dependency, _event_source, _kinds):
        found = {
            value
            for dependency, content in events.items()
            for source in names_of(dependency, content)
            if name.startswith(f"{source}-")
            and (value := _offered(dependency, content, match).get(name[len(source) + 1 :])) is not None
        }
        if len(found) > 1:
            raise RenderError(
                f"{{{{inputs.parameters.{name}}}}} may mean the events of several dependencies; "
                f"begin it with the name of one: {', '.join(events)}"
            )
        if found:
            return found.pop()
    raise RenderError(f"there is no {{{{inputs.parameters.{name}}}}} in what came; there are {_told(events, match)}")


def _dependency(dependency: str, _content: Content) -> tuple[str, ...]:
    return (dependency,)


def _event_source(_dependency: str, content: Content) -> tuple[str, ...]:
    return (content.event.source,)


def _kinds(_dependency: str, content: Content) -> tuple[str, ...]:
    kind = content.event.type
    return ("s3", kind) if s3_object(content) is not None else (kind,)


def _told(events: Mapping[str, Content], match: Match) -> str:
    names = [
        f"{kind}-{what}"
        for dependency, content in events.items()
        for kind in _kinds(dependency, content)[:1]
        for what in _offered(dependency, content, match)
    ]
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(names[:MAX_TOLD]) + more


def _offered(dependency: str, content: Content, match: Match) -> dict[str, str]:
    """Everything that an event offers. What its sender may name freely never takes the place of what has a meaning."""
    members = _members(content)
    own = {
        row.what: text
        for row in VARIABLES
        if row.path and row.source == content.event.type and (text := _text(_at(members, row.path))) is not None
    }
    body = members.get("body")
    free = cast("dict[str, Any]", body) if isinstance(body, dict) else members
    scalars = {name: text for name, value in free.items() if (text := _text(value)) is not None}
    return {**scalars, **_of_event(dependency, content, match), **own, **_of_object(content)}


def _members(content: Content) -> dict[str, Any]:
    try:
        value = content.value
    except ContentError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = cast("dict[str, Any]", value).get(step) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    """The text of a scalar; None of anything else."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, bool | int | float) else None


def _of_event(dependency: str, content: Content, match: Match) -> dict[str, str]:
    event = content.event
    found = {"id": event.id, "type": event.type, "source": event.source, "count": str(match.count(dependency))}
    if event.subject is not None:
        found["subject"] = event.subject
    if event.time is not None:
        found["time"] = format_time(event.time)
    return found


def _of_object(content: Content) -> dict[str, str]:
    found = s3_object(content)
    if found is None:
        return {}
    values = {
        "key": found.key,
        "bucket": found.bucket,
        "url": found.url,
        "etag": found.etag,
        "size": "" if found.size is None else str(found.size),
        "version": found.version,
        "event-name": found.event_name,
    }
    return {name: value for name, value in values.items() if value}
