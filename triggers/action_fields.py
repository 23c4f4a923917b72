"""Reading a rendered action field by field. An error names the field as users write it: `kafka.topic`.

Secrets are looked up here, at the moment of the act, and kept in `hidden`, so that no answer can repeat them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from retrain.errors import Permanent
from retrain.events import JsonValue
from triggers.port import Firing, Secrets

EXECUTION = frozenset({"kind", "policy", "retryStrategy"})
"""Fields that say how an action is carried out, and that its kind may leave alone."""

SHORTEST_SECRET = 4
"""Shorter values are not blacked out: they would turn up everywhere in an answer."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The action of one firing. `hidden` gathers every secret that was read from it."""

    kind: str
    action: Mapping[str, JsonValue]
    secrets: Secrets = field(repr=False)
    hidden: list[str] = field(default_factory=list[str], repr=False)

    def only(self, known: Iterable[str]) -> None:
        """Refuse fields that the kind does not know.

        Raises:
            Permanent: with the name of the first.
        """
        if unknown := sorted(set(self.action) - EXECUTION - set(known)):
            raise Permanent(f"{self.kind}.{unknown[0]} is not supported by this trigger; take it out of the sensor")

    def text(self, name: str) -> str:
        """A text; empty where there is none. What is no string is written as JSON."""
        value = self.action.get(name)
        return "" if value is None else as_text(value)

    def required(self, name: str) -> str:
        """A text that must be there.

        Raises:
            Permanent: it is missing or empty.
        """
        if not (text := self.text(name)):
            raise Permanent(f"{self.kind}.{name} is missing")
        return text

    def flag(self, name: str) -> bool:
        """A truth; false where there is none. A parameter may have written it as text.

        Raises:
            Permanent: it is none.
        """
        match self.action.get(name):
            case None | False | "" | "false":
                return False
            case True | "true":
                return True
            case other:
                raise Permanent(f"{self.kind}.{name} must be true or false, not {shown(other)}")

    def number(self, name: str, low: int, high: int) -> int | None:
        """A whole number in these bounds, both included; None where there is none.

        Raises:
            Permanent: it is none, or out of bounds.
        """
        value = self.action.get(name)
        if value is None or value == "":
            return None
        try:
            number = int(as_text(value))
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise Permanent(f"{self.kind}.{name} must be a number from {low} to {high}, not {shown(value)}")
        return number

    def mapping(self, name: str) -> dict[str, Any]:
        """An object; empty where there is none.

        Raises:
            Permanent: it is something else.
        """
        return as_object(self.action.get(name), f"{self.kind}.{name}")

    def payload(self) -> bytes:
        """What the action sends: `body` as it is where a text is there, else `payload` as JSON.

        Raises:
            Permanent: neither is there.
        """
        if (whole := self.action.get("body")) is not None:
            return as_text(whole).encode(errors="replace")
        if (payload := self.action.get("payload")) is None:
            raise Permanent(f"{self.kind}.payload is missing: name the parts of the events that it is made of")
        return orjson.dumps(payload)

    def secret(self, selector: JsonValue, where: str) -> str:
        """The value of the secret that `{"name", "key"}` names; empty where nothing is named.

        Raises:
            Permanent: it is no such object.
            NotFound: there is no such secret.
        """
        match selector:
            case None:
                return ""
            case {"name": str(name), "key": str(key)}:
                return self._hide(self.secrets.secret(name, key))
            case _:
                raise Permanent(f"{self.kind}.{where} must name a secret: name and key")

    def basic_auth(self, holder: JsonValue, where: str) -> tuple[str, str] | None:
        """User and password of a `basicAuth`; None where there is none.

        Raises:
            Permanent: it names no secrets.
            NotFound: a secret is missing.
        """
        given = as_object(holder, f"{self.kind}.{where}")
        if not given:
            return None
        known = len(self.hidden)
        user = self.secret(given.get("username"), f"{where}.username")
        del self.hidden[known:]  # a user's name is no secret, and it would be blacked out in every answer
        return user, self.secret(given.get("password"), f"{where}.password")

    def headers(self) -> dict[str, str]:
        """`headers`, and over them `secureHeaders` with their values looked up.

        Raises:
            Permanent: an entry has no name, or no place that its value comes from.
            NotFound: a secret or config value is missing.
        """
        headers = {str(name): as_text(value) for name, value in self.mapping("headers").items()}
        for entry in self._secure_entries():
            name = entry.get("name")
            if not isinstance(name, str) or not name:
                raise Permanent(f"{self.kind}.secureHeaders: an entry has no name")
            headers[name] = self._value_from(entry.get("valueFrom"), f"secureHeaders[{name}].valueFrom")
        return headers

    def allowed_statuses(self) -> frozenset[int]:
        """The status codes of `policy.status.allow`; empty where nothing is said.

        Raises:
            Permanent: the policy is none for an answer.
        """
        policy = as_object(self.action.get("policy"), "policy")
        if other := sorted(set(policy) - {"status"}):
            raise Permanent(f"policy.{other[0]} is not supported for {self.kind}; use policy.status.allow")
        allow = as_object(policy.get("status"), "policy.status").get("allow") or []
        try:
            return frozenset(int(status) for status in allow)
        except (TypeError, ValueError):
            raise Permanent(f"policy.status.allow must be a list of status codes, not {shown(allow)}") from None

    def redaction(self) -> Redaction:
        """Black out what was looked up so far."""
        # The longest first: a secret may be a part of another.
        known = sorted({text for text in self.hidden if len(text) >= SHORTEST_SECRET}, key=len, reverse=True)
        return Redaction(tuple(known))

    def _secure_entries(self) -> list[dict[str, Any]]:
        entries = self.action.get("secureHeaders") or []
        if not isinstance(entries, list):
            raise Permanent(f"{self.kind}.secureHeaders must be a list, not {type(entries).__name__}")
        where = f"{self.kind}.secureHeaders"
        return [as_object(entry, where) for entry in cast("list[JsonValue]", entries)]

    def _value_from(self, source: JsonValue, where: str) -> str:
        match source:
            case {"secretKeyRef": {"name": str(name), "key": str(key)}}:
                return self._hide(self.secrets.secret(name, key))
            case {"configMapKeyRef": {"name": str(name), "key": str(key)}}:
                return self._hide(self.secrets.config(name, key))
            case _:
                raise Permanent(f"{self.kind}.{where} must be a secretKeyRef or configMapKeyRef with name and key")

    def _hide(self, value: str) -> str:
        value = value.removesuffix("\n")  # what an editor leaves at the end of a file
        self.hidden.append(value)
        return value


@dataclass(frozen=True, slots=True)
class Redaction:
    """Secret texts that nothing may show."""

    hidden: tuple[str, ...] = field(default=(), repr=False)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in self.hidden:
            text = text.replace(secret, "***")
        return text


def fields_of(firing: Firing, kind: str, secrets: Secrets) -> Fields:
    """The firing's action, to be read."""
    return Fields(kind, firing.action, secrets)


def as_object(value: JsonValue, where: str) -> dict[str, Any]:
    """An object; empty for None.

    Raises:
        Permanent: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Permanent(f"{where} must be an object, not {type(value).__name__}")
    return cast("dict[str, Any]", value)


def as_text(value: JsonValue) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def shown(value: JsonValue) -> str:
    """A value as messages show it: short."""
    text = as_text(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def check_line(text: str, where: str) -> str:
    """The text, if it is one line: an event's text may be in it, and a line break would begin what its author wants.

    Raises:
        Permanent: it holds a control character.
    """
    if any((ord(c) < 32 and c != "\t") or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in text):
        raise Permanent(f"{where} holds a line break or another control character")
    return text
