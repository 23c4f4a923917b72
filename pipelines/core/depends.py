"""The `depends` of a DAG task: which tasks it waits for, and the condition over how they ended.

`A` alone means `(A.Succeeded || A.Skipped || A.Daemoned)`, and also failed or errored if A's `continueOn` says so.
Operators are `&& || !` and parentheses. Compiled once to a closure.

Source: workflow/common/ancestry.go of Argo Workflows and docs/enhanced-depends-logic.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from retrain.errors import ConfigError

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
MAX_DEPTH = 100
_TOKEN = re.compile(r"\s*(?:(&&|\|\||!|\(|\))|([A-Za-z0-9_-]+)(?:\.([A-Za-z]+))?|(\S))")

Answers = Callable[[str, str], bool]  # (task, result) -> does it hold
Condition = Callable[[Answers], bool]


class DependsError(ConfigError):
    """`depends` is no condition over tasks."""


@dataclass(frozen=True, slots=True)
class Depends:
    """What one task waits for. `terms` are `(task, result)`, the result empty for a bare name."""

    text: str
    tasks: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]
    holds: Condition


def depends_of(task: Mapping[str, Any], tolerant: tuple[tuple[str, str], ...]) -> Depends | None:
    """A task's condition from `depends` or `dependencies`; None if it waits for nothing. `tolerant` is of all tasks.

    Raises:
        DependsError: it cannot be read.
    """
    text = task.get("depends") or " && ".join(task.get("dependencies") or ())
    return parse(str(text), tolerant) if text else None


def tolerant_of(tasks: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    """`(task, result)` that a bare name also accepts because of `continueOn`."""
    out: list[tuple[str, str]] = []
    for name, task in tasks.items():
        on: Mapping[str, Any] = task.get("continueOn") or {}
        out += [(name, result) for key, result in (("error", "Errored"), ("failed", "Failed")) if on.get(key)]
    return tuple(out)


@lru_cache(maxsize=4096)
def parse(text: str, tolerant: tuple[tuple[str, str], ...] = ()) -> Depends:
    parser = _Parser(text, tolerant)
    holds = parser.whole()
    terms = tuple(dict.fromkeys(parser.terms))
    return Depends(text, tuple(dict.fromkeys(name for name, _ in terms)), terms, holds)


class _Parser:
    def __init__(self, text: str, tolerant: Sequence[tuple[str, str]]) -> None:
        self._text, self._tolerant = text, tolerant
        self._tokens = [match for match in _TOKEN.finditer(text) if match[0].strip()]
        self._at = self._depth = 0
        self.terms: list[tuple[str, str]] = []

    def whole(self) -> Condition:
        run = self._any()
        if self._at < len(self._tokens):
            raise self._wrong()
        return run

    def _wrong(self) -> DependsError:
        where = self._tokens[self._at][0].strip() if self._at < len(self._tokens) else "its end"
        return DependsError(f"cannot parse depends '{self._text}' at {where}")

    def _take(self, symbol: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][1] == symbol:
            self._at += 1
            return True
        return False

    def _any(self) -> Condition:
        terms = [self._all()]
        while self._take("||"):
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else lambda answers: any(term(answers) for term in terms)

    def _all(self) -> Condition:
        terms = [self._not()]
        while self._take("&&"):
            terms.append(self._not())
        return terms[0] if len(terms) == 1 else lambda answers: all(term(answers) for term in terms)

    def _not(self) -> Condition:
        negate = False
        while self._take("!"):
            negate = not negate
        run = self._term()
        return (lambda answers: not run(answers)) if negate else run

    def _term(self) -> Condition:
        if self._take("("):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise DependsError(f"depends '{self._text[:80]}...' is nested too deep")
            run = self._any()
            if not self._take(")"):
                raise self._wrong()
            self._depth -= 1
            return run
        if self._at >= len(self._tokens) or not self._tokens[self._at][2]:
            raise self._wrong()
        match = self._tokens[self._at]
        self._at += 1
        return self._name(match[2], match[3] or "")

    def _name(self, task: str, result: str) -> Condition:
        if result and result not in RESULTS:
            raise DependsError(f"task result '{result}' for task '{task}' is invalid")
        self.terms.append((task, result))
        if result:
            return lambda answers: answers(task, result)
        accepted = ["Succeeded", "Skipped", "Daemoned", *(r for name, r in self._tolerant if name == task)]
        return lambda answers: any(answers(task, one) for one in accepted)
