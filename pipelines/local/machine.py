"""What the machine has to give to steps: places, cores, memory, and devices such as GPUs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.core.resources import quantity
from pipelines.local import cgroups
from pipelines.local.demand import STEPS, is_device
from retrain.errors import ConfigError

GPU = "nvidia.com/gpu"
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def _no_devices() -> Mapping[str, int]:
    return {}


@dataclass(frozen=True, slots=True)
class SlotsSettings:
    """What the project declares. `cpu` and `memory` as Kubernetes writes them (`4`, `16Gi`); None: what the machine
    has, or its container may have, and nobody is refused for asking more. `gpus` None: those that the machine
    shows. `devices`: others, by name."""

    cpu: str | None = None
    memory: str | None = None
    gpus: int | None = None
    devices: Mapping[str, int] = field(default_factory=_no_devices)

    @classmethod
    def of(cls, given: Mapping[str, object]) -> SlotsSettings:
        """From what a person wrote: `cpu`, `memory`, `gpus` (or `nvidia.com/gpu`), and other resources by their names.

        Raises:
            ConfigError: a name is no resource, or a number of devices no whole number.
        """
        devices = {GPU if name == "gpus" else name: amount for name, amount in given.items()}
        cpu, memory = devices.pop("cpu", None), devices.pop("memory", None)
        counts = {name: _count(name, amount) for name, amount in devices.items()}
        gpus = counts.pop(GPU, None)
        return cls(None if cpu is None else str(cpu), None if memory is None else str(memory), gpus, counts)


@dataclass(frozen=True, slots=True)
class Capacity:
    """`amounts`: resource -> how much there is. `devices`: resource -> the numbers of its pieces. `firm`: the resources
    of which nobody may ask for more than there is; a request for more of the others is a request for all of it."""

    amounts: Mapping[str, float]
    devices: Mapping[str, tuple[str, ...]]
    firm: frozenset[str]

    def share(self, demand: Mapping[str, float], *, strict: bool = True) -> dict[str, float]:
        """What a pod with this demand is to hold, its place included.

        Raises:
            ConfigError: it could never run here, if `strict`.
        """
        held = {STEPS: 1.0}
        for name, amount in demand.items():
            there = self.amounts.get(name, 0.0)
            if strict and amount > there and (name in self.firm or is_device(name)):
                raise ConfigError(_too_much(name, amount, there))
            held[name] = min(amount, there)
        return held


def _count(name: str, amount: object) -> int:
    if "/" not in name:
        raise ConfigError(f"pipelines.slots: {name!r} is no resource: cpu, memory, gpus, or a name such as amd.com/gpu")
    if not str(amount).isdecimal():
        raise ConfigError(f"pipelines.slots: {name}: {amount!r} is no number of devices")
    return int(str(amount))


def _too_much(name: str, amount: float, there: float) -> str:
    return f"it asks for {_shown(amount)} of {name} and there are {_shown(there)} here (pipelines.slots says how many)"


def _shown(amount: float) -> str:
    return f"{amount:.15g}"


def machine(settings: SlotsSettings, steps: int) -> Capacity:
    """The capacity of this machine: what is declared, else what is there.

    Raises:
        ConfigError: a declared quantity is none.
    """
    gpus = _gpus(settings.gpus)
    devices = {name: tuple(str(number) for number in range(many)) for name, many in settings.devices.items()}
    if gpus:
        devices[GPU] = gpus
    amounts = {
        STEPS: float(steps),
        "cpu": _declared("cpu", settings.cpu) or cgroups.cores(),
        "memory": _declared("memory", settings.memory) or cgroups.memory(),
        **{name: float(len(ids)) for name, ids in devices.items()},
    }
    firm = {name for name, given in (("cpu", settings.cpu), ("memory", settings.memory)) if given is not None}
    return Capacity(amounts, devices, frozenset(firm))


def _declared(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    amount = quantity(text)
    if not amount:
        raise ConfigError(f"pipelines.slots.{name}: {text!r} is no quantity, such as 4, 500m or 16Gi")
    return amount


def _gpus(declared: int | None) -> tuple[str, ...]:
    """The names of the GPUs as CUDA_VISIBLE_DEVICES knows them: what it names already, else the devices that are there.

    A declared number takes the first ones, and makes up what is not seen: a driver may hide its devices from us.
    """
    visible = os.environ.get(_VISIBLE)
    if visible is not None:
        seen = tuple(one.strip() for one in visible.split(",") if one.strip())
    else:
        seen = tuple(sorted((p.name[6:] for p in Path("/dev").glob("nvidia[0-9]*")), key=int))
    if declared is None:
        return seen
    return seen[:declared] if len(seen) >= declared else tuple(str(number) for number in range(declared))
