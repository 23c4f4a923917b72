"""Who a step is: the run that it belongs to, what all steps of a platform share, and by which marks it is found."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipelines.local.images import Images
from pipelines.local.isolation import Rung
from pipelines.local.machine import SlotsSettings

PASSED = frozenset({"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TZ", "USER", "CUDA_VISIBLE_DEVICES"})
"""Variables of the platform that a step gets too, besides those that begin with `LC_`. All others are kept from it:
the platform's environment holds its secrets."""

References = Mapping[tuple[str, str], Mapping[str, str]]
"""What a step may name: ("Secret" | "ConfigMap" | "PersistentVolumeClaim", name) -> its keys and values. It may be
live: it is asked when a step starts. Of a claim only counts that it is there."""

_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
MAIN = "main"
"""The name of the container of a container or script template."""


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class StepRun:
    """The run that a step belongs to. `home` is the directory of the run's steps.

    `spec` is the workflow's, merged and with its variables filled in; `labels` and `annotations` are the workflow's.
    """

    run_id: str
    name: str
    uid: str
    home: Path
    capture: bool = True
    """Whether some template asks for an `outputs.result`: only then is stdout kept apart."""
    spec: Mapping[str, Any] = field(default_factory=_nothing)
    namespace: str = "default"
    labels: Mapping[str, str] = field(default_factory=_nothing)
    annotations: Mapping[str, str] = field(default_factory=_nothing)
    service_account: str = ""
    trace: str = ""
    """The trace that its steps are told of; empty: none."""
    retries: int = 0
    """How often the run was tried again after its end."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of a platform share. `env` is what is passed on of the platform's own environment.

    `rung` None: the best that this machine has. `any_image`: an image that the table does not know is run with this
    machine's tools; whoever speaks for a person sets it as that person says. `archive_logs`: what holds for templates
    and workflows that do not say.
    """

    project: Path
    data: Path
    env: Mapping[str, str]
    references: References
    images: Images = field(default_factory=Images)
    rung: Rung | None = None
    any_image: bool = True
    slots: SlotsSettings = field(default_factory=SlotsSettings)
    archive_logs: bool = False

    @property
    def shims(self) -> Path:
        """Where the programs are that stand in for those of an image."""
        return self.data / "shims"

    @property
    def volumes(self) -> Path:
        """Where the directories of PersistentVolumeClaims are that outlive a run."""
        return self.data / "volumes"


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the platform's environment that steps get, with this interpreter's programs first on PATH.

    So `python step.py` finds the packages that the platform was installed beside.
    """
    env = {name: value for name, value in environ.items() if name in PASSED or name.startswith("LC_")}
    own = os.fspath(Path(sys.executable).parent)
    env["PATH"] = f"{own}:{environ.get('PATH', _DEFAULT_PATH)}"
    return env


def run_mark(run: StepRun) -> str:
    """What `RETRAIN_RUN_MARK` is for this run's steps. Of the directory and not of the id: a copy of the platform on
    the same machine may have a run with the same id, and must not find its processes killed."""
    return mark_of(run.home)


@lru_cache(maxsize=1024)
def mark_of(home: Path) -> str:
    """The same by the directory of the run's steps."""
    return sha256(os.fsencode(home)).hexdigest()[:20]


def node_mark(run: StepRun, node_id: str) -> str:
    """What `RETRAIN_NODE` is for this step: no other process of the machine has it."""
    return f"{run_mark(run)}/{node_id}"


def container_mark(run: StepRun, node_id: str, container: str) -> str:
    """The same for one container of a step; that of `main` is the step's own."""
    mark = node_mark(run, node_id)
    return mark if container == MAIN else f"{mark}/{container}"
