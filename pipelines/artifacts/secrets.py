"""Values of Secrets and ConfigMaps that locations refer to. They are looked up when needed, and never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain.errors import ConfigError

References = Mapping[tuple[str, str], Mapping[str, str]]
"""("Secret" | "ConfigMap", name) -> its keys and values; may change while we hold it."""


class Secrets:
    """Looks up `{name, key}`."""

    def __init__(self, references: References) -> None:
        self._references = references

    def value(self, selector: Mapping[str, Any] | None, what: str) -> str | None:
        """The value that a selector names; None for no selector, or an `optional` one without a value.

        Raises:
            ConfigError: there is no such Secret or key; `what` says what it is for.
        """
        if not selector:
            return None
        name, key = str(selector.get("name", "")), str(selector.get("key", ""))
        keys = self._references.get(("Secret", name))
        if keys is not None and key in keys:
            return keys[key]
        if selector.get("optional"):
            return None
        raise ConfigError(f"{what}: the project has no Secret {name!r} with key {key!r}")

    def config(self, name: str) -> Mapping[str, str] | None:
        """The keys of a ConfigMap; None if there is none."""
        return self._references.get(("ConfigMap", name))

    def __repr__(self) -> str:
        return "Secrets(...)"  # a traceback that shows its locals must not show these
