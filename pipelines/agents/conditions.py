"""`successCondition` and `failureCondition` of a resource: Kubernetes' label selectors over gjson paths of the object.

    status.succeeded > 9,status.phase in (Succeeded, Done),!status.error

Source: `matchConditions` of Argo's executor, and k8s.io/apimachinery/pkg/labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from retrain.errors import ConfigError
from retrain.expressions.paths import compile_path

_TOKEN = re.compile(r"\s*(==|!=|[=<>!(),]|[^\s=<>!(),]+)")
_KEY = re.compile(r"(?:[A-Za-z0-9.-]{1,253}/)?(?=.{1,63}\Z)[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SIGNS = {"=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One part of a condition. `operator` is Kubernetes' word for it: `in`, `notin`, `=`, `gt`, `exists`, `!`, ..."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        """As Argo's messages have it: `{status.phase in [Error Failed]}`."""
        return f"{{{self.key} {self.operator} [{' '.join(self.values)}]}}"

    def matches(self, document: str) -> bool:
        """Whether it holds for an object, given as JSON text."""
        found = compile_path(self.key).get(document)
        match self.operator:
            case "exists":
                return found is not None
            case "!":
                return found is None
            case "in" | "=" | "==":
                return found is not None and found.text() in self.values
            case "notin" | "!=":
                return found is None or found.text() not in self.values
            case _:
                return found is not None and self._compares(found.text())

    def _compares(self, text: str) -> bool:
        if not _INTEGER.fullmatch(text):
            return False
        return int(text) > int(self.values[0]) if self.operator == "gt" else int(text) < int(self.values[0])


@lru_cache(maxsize=512)
def compile_condition(text: str) -> tuple[Requirement, ...]:
    """Read a condition; an empty one has no parts.

    Raises:
        ConfigError: what is wrong with it, in Kubernetes' words where they are plain.
    """
    return tuple(_Reader(text).requirements()) if text.strip() else ()


def check(body: Mapping[str, Any], success: tuple[Requirement, ...], failure: tuple[Requirement, ...]) -> bool:
    """Whether all parts of the success condition hold (an empty one does).

    Raises:
        ConfigError: a part of the failure condition holds; the message is Argo's.
    """
    document = json.dumps(body)
    for one in failure:
        if one.matches(document):
            raise ConfigError(f"failure condition '{one}' evaluated true")
    return all(one.matches(document) for one in success)


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(text)
        self._at = 0

    def requirements(self) -> list[Requirement]:
        found = [self._requirement()]
        while self._next():
            self._expect(",")
            found.append(self._requirement())
        return found

    def _next(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._next()
        self._at += 1
        return token

    def _expect(self, wanted: str) -> None:
        if (token := self._take()) != wanted:
            raise ConfigError(f"found '{token}', expected: '{wanted}'")

    def _requirement(self) -> Requirement:
        if self._next() == "!":
            self._take()
            return Requirement(self._key(), "!")
        key = self._key()
        match self._next():
            case "" | ",":
                return Requirement(key, "exists")
            case "in" | "notin":
                return Requirement(key, self._take(), self._values())
            case sign if sign in _SIGNS:
                return self._compared(key, _SIGNS[self._take()])
            case other:
                raise ConfigError(f"found '{other}', expected: in, notin, =, ==, !=, gt, lt")

    def _compared(self, key: str, operator: str) -> Requirement:
        value = "" if self._next() in {"", ","} else self._value(self._take())
        if operator in {"gt", "lt"} and not _INTEGER.fullmatch(value):
            raise ConfigError(f"for 'Gt', 'Lt' operators, the value must be an integer, not {value!r}")
        return Requirement(key, operator, (value,))

    def _values(self) -> tuple[str, ...]:
        self._expect("(")
        found: set[str] = set()
        while self._next() != ")":
            found.add("" if self._next() == "," else self._value(self._take()))
            if self._next() != ")":
                self._expect(",")
        self._take()
        return tuple(sorted(found))

    def _key(self) -> str:
        key = self._take()
        if not _KEY.fullmatch(key):
            raise ConfigError(f"{key!r} is no path: letters, digits, '-', '_' and '.', 63 of them at most")
        return key

    def _value(self, text: str) -> str:
        if not _VALUE.fullmatch(text):
            raise ConfigError(f"{text!r} is no value: letters, digits, '-', '_' and '.', 63 of them at most")
        return text
