"""What every kind of trigger is: the firing it gets, the two ways to act, and the tools that the app hands in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from sqlalchemy import Connection

from pipelines.kubernetes.guarded_fields import Choice
from pipelines.kubernetes.policy import Allow, from_json
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError, NotFound, Transient
from retrain.events import JsonValue
from retrain.store.firings import FiringRow
from retrain.store.runs import Engine
from triggers.settings import HttpSettings, NetworkSettings

if TYPE_CHECKING:
    from deploy.spec import PromotionDocument

PLATFORM = frozenset({"dlqTrigger", "manifest", "chosen"})
"""Parts of an action that are not of its kind; no kind sees them in it."""
CREATED = "created"
"""Part of an action in memory: the object as the cluster has it, which may be a Secret. Not the user's to write."""


@dataclass(frozen=True, slots=True)
class Firing:
    """One decision to act. `action` is fully rendered, except for secrets, which it only names; `events` are event
    keys; `attempts` counts the tries that failed before; `depth` is the lineage depth of its events.

    `manifest`: the file that names its events, written before it acts. `dlq`: the action that follows if it dies.
    `created`: when it was decided, by the time of the log. `chosen`: what its events chose of what rights hang on; who
    makes objects of it on a cluster asks `pipelines.kubernetes.policy.check` about that first.
    """

    id: str
    sensor: str
    trigger: str
    key: str
    action: Mapping[str, JsonValue]
    events: tuple[str, ...] = ()
    depth: int = 0
    attempts: int = 0
    priority: int = 0
    tracked: bool = False
    ordered: bool = False
    manifest: str | None = None
    dlq: Mapping[str, JsonValue] | None = None
    created: datetime | None = None
    chosen: tuple[Choice, ...] = ()
    result: JsonValue = None
    """What an earlier look has left, where it waits to be looked at again."""

    @property
    def kind(self) -> str:
        """The name of the kind that acts on it; empty where the action names none."""
        kind = self.action.get("kind")
        return kind if isinstance(kind, str) else ""

    @property
    def body(self) -> dict[str, JsonValue]:
        """What the action says of its kind's own, without what the platform reads itself."""
        return {name: value for name, value in self.action.items() if name not in {"kind", "policy", "retryStrategy"}}


@dataclass(frozen=True, slots=True)
class Later:
    """It has acted, and is not over yet: look again at `until`. That is no failure and uses up no attempt.

    The kind is asked again with the same firing, so it must know what it did. `reason` says what is waited for.
    """

    until: datetime
    reason: str
    result: JsonValue = None


@runtime_checkable
class Trigger(Protocol):
    """A kind that acts on the world. May act twice on one firing after a crash, so it passes the firing's id on."""

    async def fire(self, firing: Firing, attempt: int) -> JsonValue | Later:
        """Act; what is returned is kept with the firing, so it holds no secret. `attempt` counts from 1.

        Where the act made a run, the result is an object with its id as `run`.

        Raises:
            Transient: try again later (`RetryAfter`: not before that).
            Permanent: trying again changes nothing.
        """
        ...


@runtime_checkable
class StoreTrigger(Protocol):
    """A kind that only writes to the store: it acts in the transaction that marks the firing done, so exactly once.

    `topic` is the store's signal that its work is ready for. One that must look something up first has
    `asks(firing) -> bool` and `async prepare(firing) -> Firing` too (`PreparedTrigger`).
    """

    topic: str

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue | Later:
        """Write down what the firing asks for. Runs on the writer thread, in a savepoint; touches only `connection`.

        Where it wrote down a run, the result is an object with its id as `run`.

        Raises:
            Permanent: what the firing asks for cannot be.
        """
        ...


@runtime_checkable
class PreparedTrigger(Protocol):
    """A `StoreTrigger` that looks something up before its transaction, which waits for nobody."""

    def asks(self, firing: Firing) -> bool:
        """Whether there is something to look up for this firing."""
        ...

    async def prepare(self, firing: Firing) -> Firing:
        """The firing with what was looked up in its action. Nothing is written.

        Raises:
            Transient, Permanent: as `Trigger.fire`.
        """
        ...


class Objects(Protocol):
    """A Kubernetes cluster, as the `k8s` trigger needs it. Without one, the local engine takes Workflows only.

    `body` is a whole object as the sensor has it: apiVersion, kind, metadata, spec. Every call may come twice for one
    firing, so what it leads to must be the same. All give the object as it is afterwards.

    Raises (all of them):
        Transient: the API server is away or busy, a quota is used up, or somebody was faster.
        ConfigError: whoever asks may not, or the object is invalid.
        Refused: another object has its name, another manager a field, or a rule of the cluster's own is against it.
        NotFound: its namespace or its kind is not there.
    """

    async def namespace(self) -> str:
        """Where objects are that do not say."""
        ...

    async def create(self, body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Create it. One of its name that the same firing has made (label `retrain.dev/firing`) is it."""
        ...

    async def change(
        self, body: Mapping[str, JsonValue], how: str, new: Mapping[str, JsonValue] | None, mark: str
    ) -> dict[str, JsonValue]:
        """Patch the object of its name; create `new` where there is none.

        `how`: the content type of the patch; the operations of a JSON patch stand under `patch`. `mark`: whose change
        it is; a JSON patch is made once for each.
        """
        ...

    async def adjust(
        self, body: Mapping[str, JsonValue], steps: tuple[Mapping[str, JsonValue], ...], mark: str
    ) -> dict[str, JsonValue]:
        """Put values into the object of its name as it is there; once for each `mark`."""
        ...

    async def delete(self, body: Mapping[str, JsonValue]) -> None:
        """Delete the object of its name; nothing happens where there is none."""
        ...

    async def get(self, body: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
        """The object of its name as it is now; None where there is none."""
        ...


class ClusterWorkflows(Protocol):
    """Where Workflows are made that Argo's controller runs."""

    async def namespace(self) -> str:
        """Where those go that do not say it."""
        ...

    async def create(
        self, run_id: str, manifest: Mapping[str, JsonValue], labels: Mapping[str, str]
    ) -> dict[str, JsonValue] | None:
        """The Workflow as `RunRow.object` keeps it, once it is on the cluster; None where its run is known already.

        `manifest` has its name. The same again is the same object.

        Raises:
            Transient, Refused, ConfigError, NotFound: as the cluster says it.
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


FindPromotion = Callable[[str], "PromotionDocument"]
"""The Promotion of this name in the project as it is now; NotFound where there is none. Called on the writer thread."""


ResolveCandidate = Callable[["PromotionDocument", Mapping[str, JsonValue]], Awaitable[Mapping[str, JsonValue]]]
"""A candidate that names a model in a registry, as it is there now, by its digest; any other as it is."""


async def no_registry(document: PromotionDocument, _candidate: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Where no registry is reached.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(f"{document.name}: a candidate cannot be looked up in a registry here")


def no_promotions(name: str) -> PromotionDocument:
    """A project without Promotions.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"there is no Promotion {name!r} in this project")


def no_space(_sensor: str) -> str:
    """Sensors have no namespaces here."""
    return ""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the app hands to every kind when it is opened."""

    secrets: Secrets = field(default_factory=StaticSecrets)
    clock: Clock = field(default_factory=SystemClock)
    http: HttpSettings = field(default_factory=HttpSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    promotions: FindPromotion = no_promotions
    resolve: ResolveCandidate = no_registry
    data: Path | None = None
    """The platform's data directory: manifests of events are written below it, and nowhere else."""
    objects: Objects | None = None
    engine: Engine = "local"
    """Who runs workflows that do not say it."""
    workflows: ClusterWorkflows | None = None
    allow: Allow = field(default_factory=Allow)
    """What events may choose of objects on a cluster."""
    space_of: Callable[[str], str] = no_space
    """The namespace of the sensor of this name, where its objects are that do not say; empty where it has none."""


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
    action: dict[str, JsonValue] = row.action if isinstance(row.action, dict) else {}
    manifest, dlq = action.get("manifest"), action.get("dlqTrigger")
    return Firing(
        id=row.id,
        sensor=row.sensor,
        trigger=row.trigger,
        key=row.key,
        action={name: value for name, value in action.items() if name not in PLATFORM},
        events=row.events,
        depth=row.depth,
        attempts=row.attempts,
        priority=row.priority,
        tracked=row.tracked,
        ordered=row.ordered,
        manifest=manifest if isinstance(manifest, str) else None,
        dlq=cast("dict[str, JsonValue]", dlq) if isinstance(dlq, dict) else None,
        created=row.created,
        chosen=from_json(action.get("chosen")),
        result=row.result,
    )
