"""What this machine has and lacks, and what a lack disables."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from retrain.errors import ConfigError

GIT_NEEDED = (2, 34)
DISK_NEEDED = 1 << 30
OF_STEPS = ("PROJECT", "OUTPUTS", "RUN_ID", "NODE", "RUN_MARK")
"""Variables that steps get; `retrain` may be called by one."""


WITHOUT_RUNG: Mapping[str, str] = {
    "rewrite": "steps at all",
    "namespace": "exact absolute paths in steps, a host that is read-only to them, a private /tmp",
    "container": "steps in their own images (retrain run --engine docker|podman)",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `without`: what does not work where it is missing; `needed`: nothing works."""

    name: str
    ok: bool
    found: str
    without: str
    needed: bool = False


def examine(data: Path, environment: Mapping[str, str]) -> list[Check]:
    """Look at everything. Starts small programs, changes nothing."""
    return [
        _python(),
        _git(),
        _bus(environment),
        *_isolation(),
        _slots(environment),
        _disk(data),
        _tool("kubectl", "looking at a cluster yourself: Retrain asks it without", ["version", "--client"]),
        _tool("docker", "tests that start servers in containers", ["info", "--format", "engine {{.ServerVersion}}"]),
        _variables(environment),
    ]


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    return Check("python", sys.version_info >= (3, 11), found, "everything: 3.11 is the oldest", needed=True)


def _git() -> Check:
    text = _output(["git", "--version"])
    numbers = tuple(int(n) for n in re.findall(r"\d+", text)[:2])
    wanted = ".".join(str(n) for n in GIT_NEEDED)
    return Check("git", numbers >= GIT_NEEDED, text or "not found", f"promotions: git {wanted} or newer commits them")


def _bus(environment: Mapping[str, str]) -> Check:
    if url := environment.get("RETRAIN_BUS_URL"):
        return Check("bus", True, f"RETRAIN_BUS_URL {urlsplit(url).hostname}", "everything", needed=True)
    from retrain.bus.embedded import find_binary

    try:
        path = find_binary()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return Check("bus", False, str(error), "everything: set RETRAIN_BUS_URL to a NATS server", needed=True)
    text = _output([str(path), "--version"])
    return Check("bus", bool(text), f"embedded {text}", "everything: set RETRAIN_BUS_URL to a NATS server", needed=True)


def _isolation() -> list[Check]:
    """Every rung of the ladder that steps can be kept apart by, and the one that they are."""
    from pipelines.local.isolation import available_rungs, best_rung

    best = best_rung()
    found: list[Check] = []
    for rung, why in available_rungs().items():
        said = why or ("yes, and used for steps" if rung is best else "yes")
        found.append(Check(f"isolation {rung}", not why, said, WITHOUT_RUNG[rung]))
    return found


def _slots(environment: Mapping[str, str]) -> Check:
    """What steps share, as this machine and the settings in the environment say."""
    from pipelines.local import cgroups
    from pipelines.local.machine import SlotsSettings, machine

    given = environment.get("RETRAIN_PIPELINES_SLOTS")
    try:
        declared = SlotsSettings.of(json.loads(given)) if given else SlotsSettings()
        capacity = machine(declared, cgroups.steps())
    except (ValueError, ConfigError) as error:
        return Check("slots", False, str(error), "runs: RETRAIN_PIPELINES_SLOTS cannot be used")
    return Check("slots", True, ", ".join(_amount(name, value) for name, value in capacity.amounts.items()), "")


def _amount(name: str, value: float) -> str:
    return f"{name} {value / (1 << 30):.1f}Gi" if name == "memory" else f"{name} {value:g}"


def _disk(data: Path) -> Check:
    folder = next(parent for parent in (data, *data.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    return Check("disk", free >= DISK_NEEDED, f"{free / (1 << 30):.1f} GiB free", "long runs: 1 GiB is little")


def _tool(name: str, without: str, words: list[str]) -> Check:
    text = _output([name, *words])
    return Check(name, bool(text), text or "not found", without)


def _variables(environment: Mapping[str, str]) -> Check:
    from retrain.app.settings import Settings

    # Groups of settings, what secrets and config maps may come from, what steps get, and tests' own.
    words = {name.split("_")[0].upper() for name in Settings.model_fields} | {"SECRET", "CONFIG", "TEST"}
    known = {*("RETRAIN_FAULT", "RETRAIN_LOG_LEVEL", "RETRAIN_SERVERS"), *(f"RETRAIN_{name}" for name in OF_STEPS)}
    strange = sorted(
        name
        for name in environment
        if name.startswith("RETRAIN_") and name not in known and name.split("_")[1] not in words
    )
    return Check(
        "settings", not strange, ", ".join(strange) or "all known", "what you meant by them: nothing reads them"
    )


def _output(words: list[str], *, word: str | None = None) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    if done.returncode != 0:
        return ""
    return word or next(iter(done.stdout.strip().splitlines()), "")
