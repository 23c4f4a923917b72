"""expr-lang: reading members, slices and methods, as closures.

Only keys of maps, indexes of lists, given functions and the methods of times are members. Nothing of Python is: no
attribute of any object is ever looked up by a name from an expression.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final, cast

from retrain.expressions.expr.frame import MAX_VALUE_DEPTH, Frame
from retrain.expressions.expr.methods import call_method
from retrain.expressions.expr.predicates import Run
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import Duration, Function, as_float, cut, fetch, go_type


class _Gone:
    """What a chain with `?.` gives from where it met nil."""


GONE: Final = _Gone()


def path(name: str, keys: tuple[str | int, ...], json_numbers: bool) -> Run:
    """`name.a.b[0]` in the environment.

    A name that is not there is an error, a key that is not there is nil, and a member of nil is an error.
    """
    if json_numbers:
        return converted(path(name, keys, json_numbers=False))
    if not keys:
        return lambda frame: frame.env[name] if name in frame.env else _unknown(frame, name)
    if len(keys) == 1 and isinstance(keys[0], str):
        return _short_path(name, keys[0])

    def run(frame: Frame) -> object:
        value = frame.env[name] if name in frame.env else _unknown(frame, name)
        for key in keys:
            if type(value) is dict and type(key) is str:
                value = cast("dict[str, object]", value).get(key)
            else:
                value = fetch(value, key)
        return value

    return run


def _short_path(name: str, key: str) -> Run:
    def run(frame: Frame) -> object:
        value = frame.env.get(name)
        if type(value) is dict:
            return cast("dict[str, object]", value).get(key)
        return fetch(value if name in frame.env else _unknown(frame, name), key)

    return run


def _unknown(frame: Frame, name: str) -> object:
    known = ", ".join(sorted(map(str, frame.env))[:10])
    raise ExprError(f"unknown name {name}" + (f"; there are: {known}" if known else ""))


def converted(run: Run) -> Run:
    """The value with all its whole numbers as float64, as Go's encoding/json reads them."""

    def call(frame: Frame) -> object:
        value = run(frame)
        if type(value) is int:
            return as_float(value)
        return _floats(frame, value, 0) if type(value) is list or type(value) is dict else value

    return call


def _floats(frame: Frame, value: object, depth: int) -> object:
    if depth > MAX_VALUE_DEPTH:
        raise ExprError(f"a value is nested deeper than {MAX_VALUE_DEPTH}")
    if type(value) is int:
        return as_float(value)
    if type(value) is list:
        frame.room(len(value))
        return [_floats(frame, item, depth + 1) for item in value]
    if type(value) is dict:
        frame.room(len(cast("dict[str, object]", value)))
        return {key: _floats(frame, item, depth + 1) for key, item in cast("dict[str, object]", value).items()}
    return value


def member(base: Run, key: object, *, chained: bool, optional: bool) -> Run:
    """`base.key`, the key known."""
    if chained:
        return dynamic_member(base, lambda _: key, chained=True, optional=optional)

    def run(frame: Frame) -> object:
        value = base(frame)
        if type(value) is dict and type(key) is str:
            return cast("dict[str, object]", value).get(key)
        return fetch(value, key)

    return run


def dynamic_member(base: Run, key: Run, *, chained: bool, optional: bool) -> Run:
    """`base[key]`. Of a chain: GONE stays GONE, and nil before `?.` becomes it."""

    def run(frame: Frame) -> object:
        value = base(frame)
        if chained and (value is GONE or (optional and value is None)):
            return GONE
        wanted = key(frame)
        frame.touch(wanted)
        return fetch(value, wanted)

    return run


def slice_of(base: Run, start: Run | None, end: Run | None) -> Run:
    """`base[start:end]`."""

    def run(frame: Frame) -> object:
        value = base(frame)
        low = 0 if start is None else start(frame)
        return cut(frame, value, low, None if end is None else _bound(end(frame)))

    return run


def _bound(value: object) -> object:
    if value is None:
        raise ExprError("invalid operation: int(nil)")
    return value


def method_call(base: Run, name: str, arguments: list[Run], *, optional: bool) -> Run:
    """`base.Name(...)` of a time, a duration or a zone, or of a namespace of functions."""

    def run(frame: Frame) -> object:
        value = base(frame)
        if value is GONE or (optional and value is None):
            return GONE
        given = [argument(frame) for argument in arguments]
        if isinstance(value, datetime | Duration | tzinfo):
            return call_method(value, name, given)
        found = fetch(value, name)
        if type(found) is Function:
            frame.spend(4)
            return found.call(frame, given)
        raise ExprError(f"invalid operation: {go_type(value)} has no method {name}")

    return run
