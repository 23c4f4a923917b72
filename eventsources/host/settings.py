"""What an operator may set about sources. Plain values: the app reads them from the environment or a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What an operator may set about sources.

    `project`: the folder that relative paths start at. `host`: the address that ports of their own are served on.
    `platform_port`: where the platform listens itself, so that a webhook which names this port goes to it; None: every
    port is opened. `stop_s`: seconds that a source may take to finish what it has in hand.
    `lease_s`: seconds after which another replica takes over the sources of one that does not answer any more.
    """

    project: Path = Path()
    host: str = "127.0.0.1"
    platform_port: int | None = None
    stop_s: float = 4.0
    restart_min_s: float = 0.5
    restart_max_s: float = 30.0
    lease_s: float = 15.0
