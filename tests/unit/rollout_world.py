"""What checks are asked about in tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.rollout.check import Finding, Subject

NOW = datetime(2026, 11, 22, 0, 57, 10, tzinfo=UTC)
OURS, OLD = "a" * 40, "0" * 40


def subject(**more: Any) -> Subject:
    """A commit of now that has promoted version 7."""
    candidate = {"digest": f"sha256:{'7' * 64}", "uri": "s3://models/digits/7", "version": "7", "metrics": {"f1": 0.9}}
    facts = {"candidate": candidate, "promotion": {"id": "p-1", "name": "digits", "environment": "production"}}
    given: dict[str, Any] = {
        "values": ("s3://models/digits/7",),
        "facts": facts,
        "action": "promote",
        "commit": OURS,
        "since": NOW,
    }
    return Subject("p-1", "digits", "production", **{**given, **more})


def watch(kind: Any, spec: Any, answers: Sequence[tuple[float, Any]], **more: Any) -> list[Finding]:
    """What a kind finds in answers that come at these seconds after the commit."""
    found: list[Finding] = []
    memory: Any = {}
    for seconds, answer in answers:
        found.append(kind.judge(spec, subject(**more), answer, memory, NOW + timedelta(seconds=seconds)))
        memory = found[-1].memory
    return found
