"""One difference: where in an object it shows, what is there, what is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast


class Verdict(StrEnum):
    """What becomes of an object, the best first."""

    AS_IS = "works as is"
    BETTER = "works better"
    DIFFERS = "differs"
    REFUSED = "refused"


Words = tuple[str, str]
"""What is there, and what is here."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value of an object that a fact may be about."""

    path: tuple[str | int, ...]
    value: Any
    body: Mapping[str, Any]

    def up(self, length: int) -> Any:
        """What contains it: the value at the first `length` steps of its path."""
        inner: Any = self.body
        for step in self.path[:length]:
            inner = inner[step]
        return inner


def always(found: Found) -> bool:
    """Wherever there is such a value."""
    del found
    return True


@dataclass(frozen=True, slots=True)
class Fact:
    """A difference on purpose.

    `at`: where it shows, as steps with dots between; `*` is any key, `[]` any entry of a list. `when` looks closer.
    `verdict`: what it makes of the object at least; AS_IS is something to do or to know that changes nothing.
    `general`: so it is for every object of the kind; said once, and it changes no verdict.
    """

    code: str
    verdict: Verdict
    at: str
    there: str
    here: str
    when: Callable[[Found], bool] = always
    general: bool = False

    def places(self, body: Mapping[str, Any]) -> Iterator[tuple[str | int, ...]]:
        """Where in an object it shows."""
        yield from (found.path for found in found_at(body, self.at) if self.when(found))


def alike(code: str, verdict: Verdict, places: Iterable[str], words: Words) -> Iterator[Fact]:
    """One fact at several places, in the same words."""
    return (Fact(code, verdict, at, *words) for at in places)


def found_at(body: Mapping[str, Any], at: str) -> Iterator[Found]:
    """The values at all places that a pattern means."""
    yield from _walk(Found((), body, body), at.split("."))


def _walk(found: Found, steps: list[str]) -> Iterator[Found]:
    if not steps:
        yield found
        return
    for step, value in _members(found.value, steps[0]):
        yield from _walk(Found((*found.path, step), value, found.body), steps[1:])


def _members(value: Any, step: str) -> Iterator[tuple[str | int, Any]]:
    if step == "[]":
        yield from enumerate(cast("list[Any]", value) if isinstance(value, list) else ())
        return
    mapping = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    if step == "*":
        yield from mapping.items()
    elif mapping.get(step) is not None:
        yield step, mapping[step]
