"""Functions as templates see them: with the types of their parameters, so that a wrong argument gets Go's words.

Function.of("trunc", "int, string", trunc)        # two parameters
Function.of("join", "string, any", join)
Function.of("list", "any...", list_of)             # any number of the last
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from retrain.expressions.template.meter import Meter, room, swap
from retrain.expressions.template.values import (
    MAX_INT64,
    MIN_INT64,
    MISSING,
    CallError,
    Int,
    Int64,
    NilMap,
    Opaque,
    StringMap,
    Value,
    as_float,
    is_float,
    type_name,
)


@dataclass(slots=True)
class Surroundings:
    """What a template may know of the world besides its data. One for each rendering.

    `now`: an aware moment; without it `now` refuses. `seed`: where chance comes from, so the same firing renders the
    same text; what it gives is not secret.
    """

    now: datetime | None = None
    seed: str = ""
    _chance: random.Random | None = field(default=None, init=False, repr=False)

    def chance(self) -> random.Random:
        """The dice of this rendering: each throw differs, and all are the same the next time."""
        if self._chance is None:
            self._chance = random.Random(self.seed)  # noqa: S311 - reproducible on purpose
        return self._chance

    def moment(self, what: str) -> datetime:
        """The present.

        Raises:
            CallError: no time was given; `what` names who asked.
        """
        if self.now is None:
            raise CallError(f"{what}: the time is not known here")
        return self.now if self.now.tzinfo else self.now.replace(tzinfo=UTC)


TYPES: Final[Mapping[str, str]] = {
    "any": "interface {}",
    "value": "reflect.Value",
    "string": "string",
    "int": "int",
    "int64": "int64",
    "float64": "float64",
    "bool": "bool",
    "map": "map[string]interface {}",
    "time": "time.Time",
    "duration": "time.Duration",
    "version": "*semver.Version",
}
"""The types of parameters and Go's names for them."""

NILABLE: Final = frozenset({"any", "value", "map", "version"})

_ACCEPTS: Final[Mapping[str, Callable[[Value], bool]]] = {
    "any": lambda _: True,
    "value": lambda _: True,
    "string": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is Int,
    "int64": lambda value: type(value) is Int64,
    "float64": is_float,
    "bool": lambda value: isinstance(value, bool),
    "map": lambda value: isinstance(value, dict) and not isinstance(value, StringMap),
    "time": lambda value: isinstance(value, datetime),
    "duration": lambda value: type_name(value) == "time.Duration",
    "version": lambda value: isinstance(value, Opaque) and value.type_name == "*semver.Version",
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function, its name and the types of its parameters (keys of `TYPES`); `rest` is that of all that follow."""

    name: str
    call: Callable[..., Value]
    params: tuple[str, ...]
    rest: str | None = None
    around: bool = False
    """Whether `call` takes a keyword `around: Surroundings`."""

    @classmethod
    def of(cls, name: str, signature: str, call: Callable[..., Value], *, around: bool = False) -> Function:
        """With the parameters as text: `"int, string"`, `"any..."`."""
        params = [part.strip() for part in signature.split(",") if part.strip()]
        rest = params.pop()[:-3] if params and params[-1].endswith("...") else None
        return cls(name, call, tuple(params), rest, around)

    def __call__(self, *args: Value, around: Surroundings | None = None) -> Value:
        """Call it from another language, with JSON's values: a Python `int` is Go's int here.

        Raises:
            CallError: the number or the types of the arguments do not fit, or the function refuses them.
        """
        self._check_count(len(args))
        fitting = [self._fit(at, _counted(arg)) for at, arg in enumerate(args)]
        before = swap(Meter())
        try:
            if self.around:
                return self.call(*fitting, around=around or Surroundings())
            return self.call(*fitting)
        finally:
            swap(before)

    def kind_of(self, at: int) -> str:
        """The type of the parameter number `at`, from 0."""
        return self.params[at] if at < len(self.params) else self.rest or "any"

    def _check_count(self, count: int) -> None:
        wanted = len(self.params)
        if self.rest is not None and count < wanted:
            raise CallError(f"wrong number of args for {self.name}: want at least {wanted} got {count}")
        if self.rest is None and count != wanted:
            raise CallError(f"wrong number of args for {self.name}: want {wanted} got {count}")

    def _fit(self, at: int, value: Value) -> Value:
        kind = self.kind_of(at)
        if isinstance(value, Int) and kind == "float64":
            return float(value)
        if isinstance(value, Int) and kind == "int64":
            return Int64(value)
        if isinstance(value, Int) and kind == "int":
            return Int(value)
        if isinstance(value, float) and kind in ("int", "int64") and value.is_integer() and abs(value) < 2**63:
            return (Int if kind == "int" else Int64)(value)
        return fit(value, kind)


def _counted(value: Value, depth: int = 0) -> Value:
    """With Python's ints as Go's, at every depth.

    Raises:
        CallError: one of them has more than 64 bits.
    """
    if type(value) is int:
        if not MIN_INT64 <= value <= MAX_INT64:
            raise CallError("an integer has more than 64 bits")
        return Int(value)
    if depth > 100:
        raise CallError("the value is nested deeper than 100")
    if type(value) is list:
        return [_counted(item, depth + 1) for item in value]
    if type(value) is dict:
        return {key: _counted(item, depth + 1) for key, item in value.items()}
    return value


def fit(value: Value, kind: str) -> Value:
    """The value as an argument of this type.

    Raises:
        CallError: it is of another type; the message is Go's.
    """
    if value is MISSING:
        if kind == "value":
            return value
        if kind not in NILABLE:
            raise CallError(f"invalid value; expected {TYPES[kind]}")
        return NilMap() if kind == "map" else None
    if value is None and kind == "value":
        return value
    if value is None and kind != "any":
        raise CallError(f"wrong type for value; expected {TYPES[kind]}; got interface {{}}")
    if not _ACCEPTS[kind](value):
        raise CallError(f"wrong type for value; expected {TYPES[kind]}; got {type_name(value)}")
    return as_float(value or 0.0) if kind == "float64" else value


def weigh(value: Value) -> int:
    """The steps that handling it costs."""
    if isinstance(value, str):
        return len(value) >> 6
    return len(value) >> 3 if isinstance(value, list | dict) else 0


def bounded(text: str) -> str:
    """A text that a function made, if it is not too long.

    Raises:
        CallError: it is.
    """
    room(len(text))
    return text
