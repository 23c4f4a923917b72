"""The shape of a pod: which containers a template has, and in which part they play. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Container = Mapping[str, Any]
Template = Mapping[str, Any]


def main_containers(template: Template) -> list[Container]:
    """The containers whose end is the pod's: one of a container or script template (`main`), all of a containerSet."""
    for kind in ("container", "script"):
        if template.get(kind):
            return [{**template[kind], "name": "main"}]
    return list((template.get("containerSet") or {}).get("containers") or ())


def sidecars(template: Template) -> list[Container]:
    """The containers that live beside the main one, and end with it."""
    return list(template.get("sidecars") or ())


def init_containers(template: Template) -> list[Container]:
    """The containers that run before, one after the other."""
    return list(template.get("initContainers") or ())


def containers_of(template: Template) -> Iterator[Container]:
    """All containers of a template; none if it is no pod."""
    yield from init_containers(template)
    yield from main_containers(template)
    yield from sidecars(template)
