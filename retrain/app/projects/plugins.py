"""Kinds that other packages bring, by entry point, beside the ones that are written out in a room's `KINDS`.

A group is one seam's: `retrain.sources`, `retrain.triggers`, `retrain.gates`, `retrain.checks`. Nothing is looked up
before somebody asks for a name: most documents name no plugin's kind.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from retrain.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")

SOURCES = "retrain.sources"
TRIGGERS = "retrain.triggers"
GATES = "retrain.gates"
CHECKS = "retrain.checks"


class Packages:
    """What is installed now, looked up when somebody asks, and once for all groups: each package has a file to read."""

    @cached_property
    def entries(self) -> Mapping[str, list[EntryPoint]]:
        """The entry points of our groups."""
        from importlib.metadata import entry_points

        known = entry_points()
        return {group: list(known.select(group=group)) for group in (SOURCES, TRIGGERS, GATES, CHECKS)}


class Installed(Mapping[str, Any]):
    """The kinds of one group, by name. A package is imported when its kind is asked for."""

    def __init__(self, group: str, packages: Packages | None = None) -> None:
        self.group = group
        self._packages = packages or Packages()

    def __getitem__(self, name: str) -> Any:
        """The kind.

        Raises:
            ConfigError: two packages bring it, it cannot be loaded, or it is none. The message names the package.
        """
        entry, *others = self._entries[name]
        if others:
            packages = " and ".join(sorted(_package(one) for one in (entry, *others)))
            raise ConfigError(f"{packages}: both bring {name!r} for {self.group}; uninstall one of them")
        try:
            kind = entry.load()
        # Whatever a stranger's module does when it is imported: it is named, not shown as a bug of ours.
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{_package(entry)}: {name!r} of {self.group} cannot be loaded: {what}") from error
        if why := _misfit(self.group, kind):
            raise ConfigError(f"{_package(entry)}: {name!r} of {self.group} ({entry.value}) {why}")
        return kind

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def packages(self, name: str) -> str:
        """Who brings the kind."""
        return " and ".join(sorted(_package(one) for one in self._entries[name]))

    @cached_property
    def _entries(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for entry in sorted(self._packages.entries[self.group]):
            found.setdefault(entry.name, []).append(entry)
        return found


class PromotionKinds(Installed):
    """What a Promotion may name: kinds of gates by name, and beside them those of `checks`."""

    def __init__(self, packages: Packages | None = None) -> None:
        super().__init__(GATES, packages)
        self.checks = Installed(CHECKS, packages)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _misfit(group: str, kind: Any) -> str | None:
    """Why the loaded thing is no kind of the group; None if it may be one."""
    spec = getattr(kind, "Spec", None)
    if spec is not None and not (isinstance(spec, type) and issubclass(spec, BaseModel)):
        return "has a Spec that is no pydantic model"
    if group == GATES:
        return None if spec is not None and callable(getattr(kind, "judge", None)) else "lacks Spec or judge"
    if group == CHECKS:
        has_both = callable(getattr(kind, "ask", None)) and callable(getattr(kind, "judge", None))
        return None if spec is not None and has_both else "lacks Spec, ask or judge"
    return None if callable(kind) else "cannot be called"


def installed() -> dict[str, Installed]:
    """What is installed, by group."""
    packages = Packages()
    return {**{group: Installed(group, packages) for group in (SOURCES, TRIGGERS)}, GATES: PromotionKinds(packages)}


def kinds_with_plugins(
    built_in: Mapping[str, T], group: str, reserved: Container[str] = (), packages: Packages | None = None
) -> dict[str, T]:
    """The built-in kinds and those of the entry-point group, all of them loaded.

    `reserved` are names that mean something else where users write a kind's name.

    Raises:
        ConfigError: two have one name, or one cannot be loaded; the message says which package it is from.
    """
    plugins = Installed(group, packages)
    for name in plugins:
        if name in built_in or name in reserved:
            raise ConfigError(f"{plugins.packages(name)}: the name {name!r} is Retrain's own in {group}")
    return {**built_in, **plugins}


@dataclass(frozen=True, slots=True)
class Kinds:
    """Every kind that a platform can run."""

    sources: Mapping[str, Any]
    triggers: Mapping[str, Any]


def all_kinds() -> Kinds:
    """The kinds of all rooms with their plugins.

    Raises:
        ConfigError: as `kinds_with_plugins`.
    """
    from eventsources import kinds as sources
    from eventsources.spec import EventSourceSpec
    from sensors.trigger_spec import Template
    from triggers import KINDS

    packages = Packages()
    # A Promotion carries the kinds of its gates and checks; here they only have to be sound.
    if packages.entries[GATES]:
        from deploy import gates

        kinds_with_plugins(gates.KINDS, GATES, packages=packages)
    if packages.entries[CHECKS]:
        from deploy.rollout import kinds as checks

        kinds_with_plugins(checks.KINDS, CHECKS, packages=packages)
    return Kinds(
        sources=kinds_with_plugins(sources.KINDS, SOURCES, EventSourceSpec.built_in, packages),
        triggers=kinds_with_plugins(KINDS, TRIGGERS, Template.built_in, packages),
    )
