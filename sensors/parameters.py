"""Parameters: values from events, put into the object or the payload of an action. Argo Events' rules.

A value is a text unless `useRawData` asks for it as it is. A dependency that has not come leaves its parameter out
(conditions with `||`); in a payload, where upstream crashes on it, that is an error.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/sensors/triggers/params.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson

from retrain.errors import ConfigError, Permanent
from retrain.events import JsonValue
from retrain.expressions import Dest, Found, compile_dest, compile_path, set_value
from sensors.content import Content
from sensors.shapes import Parameter, ParameterSource

Contents = Mapping[str, Content]
"""The events of a firing, by dependency."""


class RenderError(Permanent):
    """The action cannot be made from these events; it could not be at any other time either."""


@dataclass(frozen=True, slots=True)
class _Value:
    """What a parameter's source gave: the text, and whether it is that of another JSON value than a string."""

    text: str
    is_raw: bool = False


_Resolve = Callable[[Contents], _Value | None]


@dataclass(frozen=True, slots=True)
class _Compiled:
    resolve: _Resolve
    dest: Dest | None
    operation: str
    raw: bool
    dependency: str


class Parameters:
    """A list of parameters, compiled."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        """Compile.

        Raises:
            ConfigError: a path in them is none, an operation is unknown, or something in them is not built.
        """
        self._all = [_compile(one) for one in parameters]

    def __bool__(self) -> bool:
        return bool(self._all)

    def apply(self, document: JsonValue, contents: Contents) -> JsonValue:
        """The document with every parameter put into it; the one given stays as it is.

        Raises:
            RenderError: a value is not there, or does not fit where it should go.
        """
        for one in self._all:
            value = one.resolve(contents)
            if value is None:
                continue
            if one.dest is None:
                raise RenderError("a parameter without a dest has nowhere to go")
            text, is_raw = value.text, value.is_raw
            if one.operation in ("append", "prepend") and (current := _current(document, one.dest)) is not None:
                text, is_raw = current + text if one.operation == "append" else text + current, False
            document = _put(document, one, _Value(text, is_raw))
        return document

    def texts(self, contents: Contents) -> dict[str, str]:
        """Values by their dest, which is a plain name here (of a header).

        Raises:
            RenderError: as `payload`, and where a name is missing.
        """
        texts: dict[str, str] = {}
        for one in self._all:
            value = one.resolve(contents)
            if one.dest is None or value is None:
                missing = "a dest" if one.dest is None else f"an event of {one.dependency!r}, or a value"
                raise RenderError(f"a header's parameter needs {missing}")
            texts[one.dest.text] = value.text
        return texts

    def payload(self, contents: Contents) -> JsonValue:
        """A payload made of the parameters alone; None where there are none.

        A parameter without a dest is the whole payload: JSON if its text is an object or a list, else that text.

        Raises:
            RenderError: as `apply`, and where a dependency has not come.
        """
        document: JsonValue = None
        for one in self._all:
            value = one.resolve(contents)
            if one.dest is None:
                if value is not None:
                    return _whole(value.text)
            elif value is None:
                raise RenderError(f"no event of {one.dependency!r} came; give the parameter of the payload a value")
            else:
                document = _put(document, one, value)
        return document


def _compile(one: Parameter) -> _Compiled:
    if one.operation not in ("", "overwrite", "append", "prepend"):
        raise ConfigError(f"unknown operation {one.operation!r}: write overwrite, append or prepend")
    if one.src is None:
        raise ConfigError("a parameter has a src")
    dest = compile_dest(one.dest) if one.dest else None
    return _Compiled(_compile_source(one.src), dest, one.operation, one.src.use_raw_data, one.src.dependency_name)


def _compile_source(src: ParameterSource) -> _Resolve:
    if src.data_template or src.context_template:
        raise ConfigError("a parameter's dataTemplate and contextTemplate are not built yet")
    default = None if src.value is None else _Value(src.value)
    name = src.dependency_name
    read = _compile_reading(src)

    def resolve(contents: Contents) -> _Value | None:
        content = contents.get(name)
        if content is None:
            return default
        try:
            found = read(content)
        except ConfigError as error:
            if default is not None:
                return default
            raise RenderError(f"parameter from {name!r}: {error}") from error
        if found is not None:
            return found
        if default is None:
            raise RenderError(
                f"the event of {name!r} has no {src.data_key or src.context_key!r}, and there is no value"
            )
        return default

    return resolve


def _compile_reading(src: ParameterSource) -> Callable[[Content], _Value | None]:
    if src.data_key:
        path = compile_path(src.data_key)
        return lambda content: _found(path.get(content.data))
    if src.context_key:
        path = compile_path(src.context_key)
        return lambda content: _found(path.get(content.context))
    if src.value is not None:
        given = _Value(src.value)
        return lambda _content: given
    return lambda content: _Value(content.whole)


def _found(found: Found | None) -> _Value | None:
    if found is None:
        return None
    return _Value(found.raw if found.kind in ("null", "json") else found.text(), found.kind != "string")


def _current(document: JsonValue, dest: Dest) -> str | None:
    try:
        path = compile_path(dest.text)
    except ConfigError:
        return None  # as a path to read it leads nowhere
    found = path.get(orjson.dumps(document).decode())
    return None if found is None else found.text()


def _put(document: JsonValue, one: _Compiled, value: _Value) -> JsonValue:
    assert one.dest is not None
    try:
        return set_value(document, one.dest, orjson.loads(value.text) if one.raw and value.is_raw else value.text)
    except ConfigError as error:
        raise RenderError(f"parameter to {one.dest.text!r}: {error}") from error


def _whole(text: str) -> JsonValue:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return text
