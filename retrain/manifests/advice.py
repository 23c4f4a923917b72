"""Pydantic's complaints in the words of a colleague: what is wrong here, and what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from retrain.events import JsonValue
from retrain.manifests.document import Path, dotted
from retrain.manifests.files import describe
from retrain.manifests.plugged import Kinds, Pluggable
from retrain.manifests.shape import models_at, names_of, nested

_WANTED = {
    "string_type": "text",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "a list"),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"), "a mapping"
    ),
    "none_required": "null",
}
_FEW = 10
"""So many names are listed where none is near."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to say, with a stable code, and the path that it is about."""

    path: tuple[str | int, ...]
    code: str
    message: str


def advise(model: type[BaseModel], path: Path, errors: list[Any], kinds: Kinds | None = None) -> list[Advice]:
    """What to say about the errors of one path. Members of a union that want different types are said in one.

    `kinds` are those of plugins, which a `Pluggable` model knows beside its fields.
    """
    wanted = list(dict.fromkeys(_WANTED[e["type"]] for e in errors if e["type"] in _WANTED))
    advice: list[Advice] = []
    if wanted:
        advice.append(Advice(tuple(path), "wrong-type", _wrong_type(wanted, errors[0]["input"])))
    advice += [_other(model, tuple(path), error, kinds) for error in errors if error["type"] not in _WANTED]
    return list(dict.fromkeys(advice))


def nearest(name: str, known: list[str]) -> str | None:
    """The known name that was probably meant: the same but for case and separators, else the most alike."""
    folded = {_fold(one): one for one in reversed(known)}
    if (same := folded.get(_fold(name))) is not None:
        return same
    close = get_close_matches(name, known, n=1, cutoff=0.7)
    return close[0] if close else None


def _fold(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).lower()


def _wrong_type(wanted: list[str], value: JsonValue) -> str:
    message = f"must be {_either(wanted)}, not {describe(value)}"
    if "text" not in wanted or isinstance(value, dict | list):
        return message
    if isinstance(value, bool):
        return f"{message} (YAML reads a bare y, yes, on, n, no, off as true or false): put it in quotes"
    return f"{message}: put it in quotes" if isinstance(value, int | float) else message


def _other(model: type[BaseModel], path: tuple[str | int, ...], error: Any, kinds: Kinds | None) -> Advice:
    context: dict[str, Any] = error.get("ctx") or {}
    match error["type"]:
        case "missing":
            return Advice(path, "missing-field", f"the field {path[-1]!r} is missing")
        case "extra_forbidden":
            return Advice(path, "unknown-field", unknown_field(model, path, kinds))
        case "literal_error" | "enum":
            return Advice(path, "wrong-value", _wrong_choice(context["expected"], error["input"]))
        case "union_tag_invalid":
            field = str(context["discriminator"]).strip("'")
            return Advice((*path, field), "wrong-value", _wrong_choice(context["expected_tags"], context["tag"]))
        case "union_tag_not_found":
            field = str(context["discriminator"]).strip("'")
            return Advice((*path, field), "missing-field", f"the field {field!r} is missing")
        case "too_short":
            return Advice(path, "wrong-value", f"must have at least {context['min_length']} members")
        case "value_error" | "assertion_error":
            return Advice(path, "wrong-value", str(context["error"]))
        case _:
            said = error["msg"].replace("Input should", "must").replace("String should", "must")
            return Advice(path, "wrong-value", f"{said[0].lower()}{said[1:]}, not {describe(error['input'])}")


def _wrong_choice(expected: str, value: JsonValue) -> str:
    known = re.findall(r"'([^']*)'", expected)
    message = f"must be {_either([repr(word) for word in known]) or expected}, not {describe(value)}"
    near = nearest(value, known) if isinstance(value, str) else None
    return f"{message}; did you mean {near!r}?" if near else message


def unknown_field(model: type[BaseModel], path: Path, kinds: Kinds | None = None) -> str:
    """What to say about a field that does not exist where it stands."""
    name, here = str(path[-1]), models_at(model, path[:-1])
    known = names_of(here)
    if kinds is not None and any(issubclass(one, Pluggable) for one in here):
        known = list(dict.fromkeys([*known, *kinds]))
    message = f"unknown field {name!r}"
    near = nearest(name, known)
    if near and _fold(near) == _fold(name):
        return f"{message}; did you mean {near!r}?"
    for length in range(len(path) - 2, -1, -1):
        if name in names_of(models_at(model, path[:length])):
            return f"{message}; it belongs further out, in {dotted((*path[:length], name))}"
    if near:
        return f"{message}; did you mean {near!r}?"
    inside = [
        dotted((*path[:-1], *steps, name))
        for one in here
        for steps, inner in nested(one, 2)
        if name in names_of([inner])
    ]
    if inside:
        return f"{message}; it belongs in {_either(list(dict.fromkeys(inside))[:3])}"
    if name in {"true", "false"}:
        return f"{message}; YAML reads a bare y, yes, on, n, no, off as true or false: put it in quotes"
    return f"{message}; known here: {', '.join(known)}" if 0 < len(known) <= _FEW else message


def _either(words: list[str]) -> str:
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} or {words[-1]}"
