"""Kinds that other packages bring, by entry point, beside the ones that are written out in a room's `KINDS`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TypeVar

from retrain.errors import ConfigError

T = TypeVar("T")


def kinds_with_plugins(built_in: Mapping[str, T], group: str) -> dict[str, T]:
    """The built-in kinds and those of the entry-point group.

    Raises:
        ConfigError: two have one name, or one cannot be loaded; the message says which package it is from.
    """
    kinds = dict(built_in)
    for entry in entry_points(group=group):
        package = entry.dist.name if entry.dist else entry.value
        if entry.name in kinds:
            raise ConfigError(f"{package}: the name {entry.name!r} is taken already in {group}")
        try:
            kinds[entry.name] = entry.load()
        except Exception as error:
            raise ConfigError(f"{package}: {entry.name!r} of {group} cannot be loaded: {error}") from error
    return kinds
