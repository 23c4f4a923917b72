"""Whether this machine can run a workflow at all: its images, and what its steps ask of the machine."""

from __future__ import annotations

from pipelines.core.plan import Plan
from pipelines.local.executor import Limits
from pipelines.local.images import check_images
from pipelines.local.isolation import Rung
from pipelines.local.leaf import Surroundings
from pipelines.local.machine import machine
from pipelines.local.selectors import check_selectors
from pipelines.local.slots import check_fits
from retrain.errors import ConfigError


def misfits(plan: Plan, around: Surroundings, limits: Limits) -> list[str]:
    """What of a workflow this machine cannot run; empty: nothing."""
    exact = around.rung is Rung.container
    images = check_images(plan, around.images, any_image=around.any_image, exact=exact)
    return [*images, *check_selectors(plan), *check_fits(plan, machine(around.slots, limits.slots))]


def check_machine(plan: Plan, around: Surroundings, limits: Limits) -> None:
    """
    Raises:
        ConfigError: a step could never run here; nothing was started.
    """
    if problems := misfits(plan, around, limits):
        raise ConfigError("\n".join(problems))
