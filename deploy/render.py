"""`{{candidate.uri}}` in edits and messages: names looked up in a fixed set of facts, nothing is computed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from deploy.edits.scalars import Scalar
from deploy.names import one_line
from retrain.errors import ConfigError
from retrain.events import JsonValue

_REFERENCE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
ROOTS = {
    "candidate": {"digest", "uri", "version", "run", "metrics", "parameters"},
    "promotion": {"id", "name", "environment"},
    "step": {"weight", "number", "last"},
}


def check(template: str) -> str | None:
    """What is wrong with a template as such, None if nothing is."""
    for reference in _REFERENCE.findall(template):
        parts = reference.split(".")
        known = ROOTS.get(parts[0])
        if not _NAME.fullmatch(reference) or known is None or len(parts) < 2 or parts[1] not in known:
            names = sorted(f"{root}.{name}" for root, members in ROOTS.items() for name in members)
            return f"{{{{{reference}}}}} is not known; there are {', '.join(names)}"
    rest = _REFERENCE.sub("", template)
    return "has '{{' or '}}' that belong to no reference" if "{{" in rest or "}}" in rest else None


def render(template: Scalar, facts: Mapping[str, JsonValue]) -> Scalar:
    """Fill in a template. One reference alone keeps the type of what it names.

    Raises:
        ConfigError: a name is not there, or is no single value.
    """
    if not isinstance(template, str):
        return template
    if whole := _REFERENCE.fullmatch(template):
        return _look_up(whole[1], facts)
    return _REFERENCE.sub(lambda match: _text(_look_up(match[1], facts)), template)


def render_message(template: str, facts: Mapping[str, JsonValue]) -> str:
    """Fill in a commit message: what is filled in stays on its line.

    Raises:
        ConfigError: as `render`.
    """
    return _REFERENCE.sub(lambda match: one_line(_text(_look_up(match[1], facts)), 200), template)


def pieces(template: str, facts: Mapping[str, JsonValue]) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it was filled in: for who must quote those.

    Raises:
        ConfigError: as `render`.
    """
    parts = _REFERENCE.split(template)
    return [(_text(_look_up(one, facts)) if index % 2 else one, bool(index % 2)) for index, one in enumerate(parts)]


def _text(value: Scalar) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _look_up(name: str, facts: Mapping[str, JsonValue]) -> Scalar:
    value: JsonValue = facts
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ConfigError(f"{{{{{name}}}}}: the candidate has no such value")
        value = value[part]
    if value is None or isinstance(value, dict | list):
        raise ConfigError(f"{{{{{name}}}}} is {'not set' if value is None else 'not a single value'}")
    return value
