"""What every kind of trigger is: the firing it gets, the two ways to act, and the tools that the app hands in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from sqlalchemy import Connection

from deploy.spec import PromotionDocument
from retrain.clock import Clock, SystemClock
from retrain.errors import NotFound, Transient
from retrain.events import JsonValue
from retrain.store.firings import FiringRow
from triggers.settings import HttpSettings


@dataclass(frozen=True, slots=True)
class Firing:
    """One decision to act. `action` is fully rendered, except for secrets, which it only names; `events` are event
    keys; `attempts` counts the tries that failed before; `depth` is the lineage depth of its events."""

    id: str
    sensor: str
    trigger: str
    key: str
    action: Mapping[str, JsonValue]
    events: tuple[str, ...] = ()
    depth: int = 0
    attempts: int = 0

    @property
    def kind(self) -> str:
        """The name of the kind that acts on it; empty where the action names none."""
        kind = self.action.get("kind")
        return kind if isinstance(kind, str) else ""

    @property
    def body(self) -> dict[str, JsonValue]:
        """What the action says of its kind's own, without what the platform reads itself."""
        return {name: value for name, value in self.action.items() if name not in {"kind", "policy", "retryStrategy"}}


@runtime_checkable
class Trigger(Protocol):
    """A kind that acts on the world. May act twice on one firing after a crash, so it passes the firing's id on."""

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Act; what is returned is kept with the firing, so it holds no secret. `attempt` counts from 1.

        Raises:
            Transient: try again later (`RetryAfter`: not before that).
            Permanent: trying again changes nothing.
        """
        ...


@runtime_checkable
class StoreTrigger(Protocol):
    """A kind that only writes to the store: it acts in the transaction that marks the firing done, so exactly once.

    `topic` is the store's signal that its work is ready for.
    """

    topic: str

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue:
        """Write down what the firing asks for. Runs on the writer thread, in a savepoint; touches only `connection`.

        Raises:
            Permanent: what the firing asks for cannot be.
        """
        ...


class Secrets(Protocol):
    """Where secrets and config values come from, looked up when a trigger acts and never written down."""

    def secret(self, name: str, key: str) -> str:
        """The value of `key` in the secret `name`.

        Raises:
            NotFound: there is none.
        """
        ...

    def config(self, name: str, key: str) -> str:
        """The value of `key` in the config map `name`.

        Raises:
            NotFound: there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class StaticSecrets:
    """Secrets handed in as they are: `{secret name: {key: value}}`. For tests, and for a platform that has none."""

    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))

    def secret(self, name: str, key: str) -> str:
        return _look_up(self.secrets, "secret", name, key)

    def config(self, name: str, key: str) -> str:
        return _look_up(self.configs, "config map", name, key)

    def __repr__(self) -> str:
        return "StaticSecrets(...)"  # a traceback that shows its locals must not show these


def _look_up(values: Mapping[str, Mapping[str, str]], noun: str, name: str, key: str) -> str:
    try:
        return values[name][key]
    except KeyError:
        raise NotFound(f"no {noun} {name!r} with a key {key!r} is known here") from None


FindPromotion = Callable[[str], PromotionDocument]
"""The Promotion of this name in the project as it is now; NotFound where there is none. Called on the writer thread."""


def no_promotions(name: str) -> PromotionDocument:
    """A project without Promotions.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"there is no Promotion {name!r} in this project")


@dataclass(frozen=True, slots=True)
class Tools:
    """What the app hands to every kind when it is opened."""

    secrets: Secrets = field(default_factory=StaticSecrets)
    clock: Clock = field(default_factory=SystemClock)
    http: HttpSettings = field(default_factory=HttpSettings)
    promotions: FindPromotion = no_promotions


Opener = Callable[[Tools], AbstractAsyncContextManager[Trigger | StoreTrigger]]
"""How a kind begins: holds its connections while the platform runs. `triggers.KINDS` maps names to these.

A plugin's kind may have `Spec`, a pydantic model of what the user writes under its name.
"""


class RetryAfter(Transient):
    """Try again, and not before `after_s` seconds: the other side has said so."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


def firing_of(row: FiringRow) -> Firing:
    """A stored firing as the kinds see it."""
    return Firing(
        id=row.id,
        sensor=row.sensor,
        trigger=row.trigger,
        key=row.key,
        action=row.action if isinstance(row.action, dict) else {},
        events=row.events,
        depth=row.depth,
        attempts=row.attempts,
    )
