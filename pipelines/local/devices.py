"""Which devices a pod was given, noted on disk: who finds it running after a crash must not give them away again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipelines.local import process

Devices = Mapping[str, tuple[str, ...]]


def noted(home: Path) -> Devices | None:
    """What the pod of a directory has been given; None if it does not run, or was given nothing."""
    try:
        given = json.loads((home / "devices").read_text())
    except (OSError, ValueError):
        return None
    leader = process.attach(home)
    if leader is None:
        return None
    leader.let_go()
    return {name: tuple(ids) for name, ids in given.items()}


def note(home: Path, devices: Devices) -> None:
    """Note what a pod is given, before it begins."""
    home.mkdir(parents=True, exist_ok=True, mode=0o750)
    part = home / "devices.part"
    part.write_text(json.dumps(devices))
    part.rename(home / "devices")
