"""Where a parameter's value comes from: a template or a path over one event's data or context, a window, a constant.

The template is tried first, then the key, then `value`; what is asked of the data wins over what is asked of the
context. A value is a text, or the JSON text of what a key led to.

Source: `ResolveParamValue` in https://github.com/argoproj/argo-events/blob/master/pkg/sensors/triggers/params.go
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from retrain.expressions import Found, Path, compile_path
from retrain.expressions.gotemplate import Template, compile_template
from sensors.actions.match import Match
from sensors.filtering.content import Content
from sensors.shapes import ParameterSource


class RenderError(Permanent):
    """The action cannot be made from these events; it could not be at any other time either."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a parameter's source gave: the text, and whether it is that of another JSON value than a string."""

    text: str
    is_raw: bool = False


Resolve = Callable[[Match], Value | None]
"""The value for a firing; None where the dependency has not come and there is no default."""

Read = Callable[[Content, Match], Value]
"""The value that one event gives."""


def compile_reading(src: ParameterSource) -> Read:
    """How to read one event. What it returns raises RenderError where the event has no such value and `src` no default.

    Raises:
        ConfigError: a path in it is none; or its template, and there is nothing to fall back on.
    """
    default = None if src.value is None else Value(src.value)
    template, key = (src.data_template, src.data_key) if _asks_data(src) else (src.context_template, src.context_key)
    if not template and not key:
        return (lambda content, _match: _whole(content)) if default is None else (lambda _content, _match: default)
    return _Reading(src, template, key, default)


def _asks_data(src: ParameterSource) -> bool:
    return bool(src.data_template or src.data_key)


def _whole(content: Content) -> Value:
    try:
        return Value(content.whole)
    except ConfigError as error:
        raise RenderError(str(error)) from error


class _Reading:
    """Template, then key, then default."""

    def __init__(self, src: ParameterSource, template: str, key: str, default: Value | None) -> None:
        self._name = src.dependency_name
        self._of_data = _asks_data(src)
        self._default = default
        self._key = key
        self._path: Path | None = compile_path(key) if key else None
        self._wrong = ""
        self._template: Template | None = None
        if template:
            self._compile(template)

    def _compile(self, text: str) -> None:
        try:
            self._template = compile_template(text)
        except ConfigError as error:
            # Upstream finds out with each event, and then falls back; `lint` says it at once.
            if self._path is None and self._default is None:
                raise
            self._wrong = str(error)

    def __call__(self, content: Content, match: Match) -> Value:
        wrong = self._wrong
        try:
            if self._template is not None:
                made, wrong = self._render(self._template, content, match)
                if made is not None:
                    return made
            if self._path is not None:
                found = self._path.get(content.data if self._of_data else content.context)
                if found is not None:
                    return _of(found)
        except ConfigError as error:
            wrong = str(error)
        if self._default is not None:
            return self._default
        raise RenderError(self._complaint(wrong))

    def _render(self, template: Template, content: Content, match: Match) -> tuple[Value | None, str]:
        """The value, or what was wrong."""
        given: JsonValue = content.value if self._of_data else orjson.loads(content.context)
        try:
            # Chance differs between the events of a firing, and is the same whenever it is rendered again.
            seed = f"{match.firing} {content.event.id}"
            made = template.render({"Input": given}, now=match.now, seed=seed)
        except ConfigError as error:
            return None, str(error)
        return (None, "the template made no value") if made in ("", "<no value>") else (Value(made), "")

    def _complaint(self, wrong: str) -> str:
        if not wrong:
            wrong = f"the event of {self._name!r} has no {self._key!r}"
        return f"parameter from {self._name!r}: {wrong}, and there is no value"


def _of(found: Found) -> Value:
    return Value(found.raw if found.kind in ("null", "json") else found.text(), found.kind != "string")
