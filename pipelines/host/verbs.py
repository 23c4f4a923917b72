"""What people and triggers may ask of a run as a whole, by one word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Verb = Literal["stop", "terminate", "suspend", "resume"]
VERBS: tuple[Verb, ...] = ("stop", "terminate", "suspend", "resume")


def verbs_of(spec: Mapping[str, Any]) -> list[Verb]:
    """What a changed `spec` asks of a run."""
    verbs: list[Verb] = []
    if spec.get("suspend") is not None:
        verbs.append("suspend" if spec["suspend"] else "resume")
    shutdown: dict[str, Verb] = {"Stop": "stop", "Terminate": "terminate"}
    if (word := spec.get("shutdown")) in shutdown:
        verbs.append(shutdown[str(word)])
    return verbs
