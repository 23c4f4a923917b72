"""Parameters: values from events, put into the object or the payload of an action. Argo Events' rules.

A value is a text unless `useRawData` asks for it as it is. A dependency that has not come leaves its parameter out
(conditions with `||`); in a payload, where upstream crashes on it, that is an error.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/sensors/triggers/params.go
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from retrain.errors import ConfigError
from retrain.events import JsonValue
from retrain.expressions import Dest, compile_dest, compile_path, set_value
from sensors.actions.match import Match
from sensors.actions.values import RenderError, Resolve, Value, compile_reading
from sensors.actions.windows import compile_window
from sensors.shapes import Parameter, ParameterSource

__all__ = ["Parameters", "RenderError"]

OPERATIONS = ("", "overwrite", "append", "prepend")


@dataclass(frozen=True, slots=True)
class _Compiled:
    resolve: Resolve
    dest: Dest | None
    operation: str
    raw: bool
    dependency: str


class Parameters:
    """A list of parameters, compiled."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        """Compile.

        Raises:
            ConfigError: a path or template in them is none, or an operation or a window is unknown.
        """
        self._all = [_compile(one) for one in parameters]

    def __bool__(self) -> bool:
        return bool(self._all)

    def apply(self, document: JsonValue, match: Match) -> JsonValue:
        """The document with every parameter put into it; the one given stays as it is.

        Raises:
            RenderError: a value is not there, or does not fit where it should go.
        """
        for one in self._all:
            value = one.resolve(match)
            if value is None:
                continue
            if one.dest is None:
                raise RenderError("a parameter without a dest has nowhere to go")
            if one.operation in ("append", "prepend") and (current := _current(document, one.dest)) is not None:
                value = Value(current + value.text if one.operation == "append" else value.text + current)
            document = _put(document, one.dest, value, raw=one.raw)
        return document

    def steps(self, match: Match) -> list[JsonValue]:
        """What `apply` would do, for somebody who has the document: `[{"dest", "value", "operation"}]`.

        Raises:
            RenderError: as `apply`.
        """
        found: list[JsonValue] = []
        for one in self._all:
            if (value := one.resolve(match)) is None:
                continue
            if one.dest is None:
                raise RenderError("a parameter without a dest has nowhere to go")
            changes = one.operation in ("append", "prepend")
            whole = orjson.loads(value.text) if one.raw and value.is_raw and not changes else value.text
            found.append({"dest": one.dest.text, "value": whole, "operation": one.operation or "overwrite"})
        return found

    def texts(self, match: Match) -> dict[str, str]:
        """Values by their dest, which is a plain name here (of a header).

        Raises:
            RenderError: as `payload`, and where a name is missing.
        """
        texts: dict[str, str] = {}
        for one in self._all:
            value = one.resolve(match)
            if one.dest is None or value is None:
                missing = "a dest" if one.dest is None else f"an event of {one.dependency!r}, or a value"
                raise RenderError(f"a header's parameter needs {missing}")
            texts[one.dest.text] = value.text
        return texts

    def payload(self, match: Match) -> JsonValue:
        """A payload made of the parameters alone; None where there are none.

        A parameter without a dest is the whole payload: JSON if its text is an object or a list, else that text.

        Raises:
            RenderError: as `apply`, and where a dependency has not come.
        """
        document: JsonValue = None
        for one in self._all:
            value = one.resolve(match)
            if one.dest is None:
                if value is not None:
                    return _whole(value.text)
            elif value is None:
                raise RenderError(f"no event of {one.dependency!r} came; give the parameter of the payload a value")
            else:
                document = _put(document, one.dest, value, raw=one.raw)
        return document


def _compile(one: Parameter) -> _Compiled:
    if one.operation not in OPERATIONS:
        raise ConfigError(f"unknown operation {one.operation!r}: write overwrite, append or prepend")
    if one.src is None:
        raise ConfigError("a parameter has a src")
    dest = compile_dest(one.dest) if one.dest else None
    return _Compiled(_compile_source(one.src), dest, one.operation, one.src.use_raw_data, one.src.dependency_name)


def _compile_source(src: ParameterSource) -> Resolve:
    if src.window:
        return compile_window(src)
    name, read = src.dependency_name, compile_reading(src)
    default = None if src.value is None else Value(src.value)

    def resolve(match: Match) -> Value | None:
        content = match.last(name)
        return default if content is None else read(content, match)

    return resolve


def _current(document: JsonValue, dest: Dest) -> str | None:
    try:
        path = compile_path(dest.text)
    except ConfigError:
        return None  # as a path to read it leads nowhere
    found = path.get(orjson.dumps(document).decode())
    return None if found is None else found.text()


def _put(document: JsonValue, dest: Dest, value: Value, *, raw: bool) -> JsonValue:
    try:
        return set_value(document, dest, orjson.loads(value.text) if raw and value.is_raw else value.text)
    except ConfigError as error:
        raise RenderError(f"parameter to {dest.text!r}: {error}") from error


def _whole(text: str) -> JsonValue:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text
