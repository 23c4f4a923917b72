"""expr-lang: the functions that Argo Workflows and Argo Events give to expressions besides the language's own.

`asInt`, `asFloat`, `toJson` (compact), `jsonpath` and the namespace `sprig`. Any other callable that takes and gives
JSON values can be given too; whatever it raises becomes an ExprError, and its result is copied, so that nothing but
values gets in.

Source: `util/expr/env` of https://github.com/argoproj/argo-workflows and `pkg/shared/expr` of Argo Events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import cast

from retrain.errors import RetrainError
from retrain.expressions.expr.builtins import to_float, to_int
from retrain.expressions.expr.frame import MAX_VALUE_DEPTH, Frame
from retrain.expressions.expr.jsonpath import query
from retrain.expressions.expr.text import as_result, go_json, go_text, parse_json
from retrain.expressions.expr.tokens import ExprError
from retrain.expressions.expr.values import AnyMap, Duration, Function, Namespace, fits, go_type, key_value
from retrain.expressions.template import values as template_values

Callables = Mapping[str, Callable[..., object] | Mapping[str, Callable[..., object]]]
"""What a caller gives: functions, and functions under one name."""

MAX_MESSAGE = 300
"""Characters of what a function says is wrong; it may quote the data."""
SPRIG_STEPS = 20
"""What one call of a function of sprig costs, besides its arguments and its result."""

_Call = Callable[[Frame, list[object]], object]
_FAULTS = (
    RetrainError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def given(functions: Callables) -> dict[str, Function | Namespace]:
    """A caller's functions, as expressions use them."""
    out: dict[str, Function | Namespace] = {}
    for name, function in functions.items():
        if callable(function):
            out[name] = Function(name, _plain(name, function))
        else:
            members = {
                inner: Function(f"{name}.{inner}", _plain(f"{name}.{inner}", f)) for inner, f in function.items()
            }
            out[name] = Namespace(name, members)
    return out


def _plain(name: str, function: Callable[..., object]) -> _Call:
    def call(frame: Frame, arguments: list[object]) -> object:
        return _guarded(name, frame, lambda: function(*[_argument(frame, value) for value in arguments]))

    return call


def _guarded(name: str, frame: Frame, run: Callable[[], object]) -> object:
    try:
        return _value(frame, run(), 0)
    except ExprError:
        raise
    except _FAULTS as error:
        raise ExprError(f"{name}: {str(error)[:MAX_MESSAGE]}") from error


def _argument(frame: Frame, value: object) -> object:
    """A value as a given function sees it: durations are nanoseconds, keys of maps are texts."""
    if isinstance(value, Duration):
        return value.nanoseconds
    if isinstance(value, AnyMap):
        return as_result(frame, value)
    if isinstance(value, Function | Namespace):
        raise ExprError(f"a {go_type(value)} cannot be given to a function")
    return value


def _value(frame: Frame, value: object, depth: int) -> object:
    """What a given function gave, as one of the language's own values."""
    if value is None or value is template_values.MISSING:
        return None
    if type(value) is bool or isinstance(value, datetime | tzinfo | bytes):
        return value
    if isinstance(value, str):
        frame.text(len(value))
        return str(value)
    if isinstance(value, int):
        return Duration(int(value)) if isinstance(value, template_values.Duration) else int(value)
    if isinstance(value, float):
        return float(value)
    if depth > MAX_VALUE_DEPTH:
        raise ExprError(f"a value is nested deeper than {MAX_VALUE_DEPTH}")
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        frame.room(len(items))
        return [_value(frame, item, depth + 1) for item in items]
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        frame.room(len(entries))
        return {go_text(frame, key_value(key)): _value(frame, item, depth + 1) for key, item in entries.items()}
    raise ExprError(f"a function gave a {type(value).__name__}, which is no value")


# --- Argo's ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def argo(*, with_sprig: bool) -> Mapping[str, Function | Namespace]:
    """What Argo's expressions have. The many functions of sprig are loaded only for those that need them."""
    functions: dict[str, Function | Namespace] = {
        "asInt": _of("asInt", 1, lambda frame, args: to_int(frame, args[0])),
        "asFloat": _of("asFloat", 1, lambda frame, args: to_float(frame, args[0])),
        "toJson": _of("toJson", 1, lambda frame, args: go_json(frame, args[0])),
        "jsonpath": _of("jsonpath", 2, _jsonpath),
    }
    return {**functions, "sprig": _sprig()} if with_sprig else functions


def _of(name: str, takes: int, does: Callable[[Frame, list[object]], object]) -> Function:
    def call(frame: Frame, arguments: list[object]) -> object:
        if len(arguments) != takes:
            raise ExprError(f"invalid number of arguments for {name} (expected {takes}, got {len(arguments)})")
        return does(frame, arguments)

    return Function(name, call)


def _jsonpath(frame: Frame, arguments: list[object]) -> object:
    """jsonpath(JSON text or a value, path)."""
    document, path = arguments
    if type(path) is not str:
        raise ExprError(f"jsonpath takes a path, not {go_type(path)}")
    return query(frame, parse_json(frame, document) if type(document) is str else document, path)


def _sprig() -> Namespace:
    from retrain.expressions import sprig

    functions = {
        name: Function(f"sprig.{name}", _sprig_call(name, function, name in sprig.NEEDS_SURROUNDINGS))
        for name, function in sprig.FUNCTIONS.items()
    }
    return Namespace("sprig", functions, sprig.REFUSED)


def _sprig_argument(frame: Frame, value: object, depth: int) -> object:
    """The value as the functions of sprig tell kinds, all of it counted and copied: some change the maps they get."""
    if depth > MAX_VALUE_DEPTH:
        raise ExprError(f"a value is nested deeper than {MAX_VALUE_DEPTH}")
    if type(value) is str:
        frame.spend(len(value) >> 4)
        return value
    if type(value) is int and fits(value):
        return template_values.Int(value)
    if isinstance(value, Duration):
        return template_values.Duration(value.nanoseconds)
    if type(value) is list:
        frame.room(len(value))
        return [_sprig_argument(frame, item, depth + 1) for item in value]
    if type(value) is dict:
        entries = cast("dict[str, object]", value)
        frame.room(len(entries))
        return {key: _sprig_argument(frame, item, depth + 1) for key, item in entries.items()}
    return _argument(frame, value)


def _sprig_call(name: str, function: Callable[..., object], needs_surroundings: bool) -> _Call:
    from retrain.expressions.sprig import Surroundings

    def call(frame: Frame, arguments: list[object]) -> object:
        frame.spend(SPRIG_STEPS)
        values = [_sprig_argument(frame, value, 0) for value in arguments]
        if not needs_surroundings:
            return _guarded(f"sprig.{name}", frame, lambda: function(*values))
        if frame.around is None:
            frame.around = Surroundings(now=frame.now, seed=frame.seed)
        return _guarded(f"sprig.{name}", frame, lambda: function(*values, around=frame.around))

    return call
