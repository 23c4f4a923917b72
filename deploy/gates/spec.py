"""The gates as a Promotion has them: each of the kind that it names, a plugin's among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag, ValidationInfo, model_validator

from deploy.gates import KINDS, Kind, budget
from deploy.gates.asking import Built
from deploy.gates.verdict import GateSpec
from retrain.errors import ConfigError
from retrain.manifests import Problem, problems
from retrain.manifests.advice import nearest
from retrain.manifests.duration import Duration

NOT_BUILT = frozenset({"approval", "attestation"})
INSTEAD = {"approval": "people approve by the environment's approvals, not by a gate", "latency": "budget"}
"""What to write instead."""


class OtherGate(BaseModel):
    """A gate of a kind that is not built in. Plugins' kinds are the context of validation, by name."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = Field(min_length=1, max_length=63)
    kind: str
    advisory: bool = False
    validFor: Duration | None = None

    _plugin: Kind | None = PrivateAttr(default=None)
    _known: tuple[str, ...] = PrivateAttr(default=())

    @property
    def plugin(self) -> Kind | None:
        """The plugin's kind; None where none has this name."""
        return self._plugin

    @property
    def known(self) -> tuple[str, ...]:
        """Which kinds there are."""
        return (*KINDS, *self._known)

    @property
    def body(self) -> dict[str, Any]:
        """What the kind's own model reads: without what every gate has, unless it wants that too."""
        mine = {"advisory", "validFor"} - set(self._plugin.Spec.model_fields if self._plugin else ())
        return self.model_dump(exclude=mine)

    @model_validator(mode="after")
    def _look_up(self, info: ValidationInfo) -> Self:
        kinds = info.context
        if kinds is None:
            return self
        try:
            self._plugin = kinds.get(self.kind)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        self._known = tuple(kinds)
        return self


def _gate_kind(value: Any) -> str:
    kind: Any = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return kind if kind in KINDS else "other"


if TYPE_CHECKING:
    Gate = GateSpec | OtherGate
else:
    # KINDS is the one place that lists them.
    _built_in = tuple(Annotated[kind.Spec, Tag(name)] for name, kind in KINDS.items())
    Gate = Annotated[Union[(*_built_in, Annotated[OtherGate, Tag("other")])], Discriminator(_gate_kind)]


def build(gates: Sequence[Gate]) -> list[Built]:
    """The gates: each one's kind, and what the user wrote as the kind's own model has it.

    Raises:
        ConfigError: a kind is not known, or its spec is wrong.
    """
    wrong = [problem.message for problem in check(gates) if problem.severity == "error"]
    if wrong:
        raise ConfigError("; ".join(wrong))
    return [_build(gate) for gate in gates]


def _build(gate: Gate) -> Built:
    common = (gate.advisory, gate.validFor)
    if not isinstance(gate, OtherGate):
        return Built(gate.name, gate.kind, KINDS[gate.kind], gate, *common)
    assert gate.plugin is not None
    return Built(gate.name, gate.kind, gate.plugin, gate.plugin.Spec.model_validate(gate.body), *common)


def check(gates: Sequence[Gate]) -> Iterator[Problem]:
    """What pydantic cannot see: names that are taken, kinds that nobody has, gates that name others."""
    names: set[str] = set()
    if not any(not gate.advisory for gate in gates):
        words = "all gates are advisory" if gates else "without gates"
        yield Problem(("spec", "gates"), "no-gates", f"{words}: every candidate is promoted", "warning")
    measuring = {gate.name for gate in gates if gate.kind == "infra"}
    for index, gate in enumerate(gates):
        here = ("spec", "gates", index)
        if gate.name in names:
            yield Problem((*here, "name"), "duplicate-name", f"two gates are named {gate.name!r}")
        names.add(gate.name)
        if isinstance(gate, OtherGate):
            yield from _check_other(gate, here)
        if isinstance(gate, budget.Spec) and gate.of is not None and gate.of not in measuring:
            there = ", ".join(sorted(measuring)) or "none"
            yield Problem((*here, "of"), "unknown-gate", f"no infra gate is named {gate.of!r}; there are {there}")


def _check_other(gate: OtherGate, here: tuple[str | int, ...]) -> Iterator[Problem]:
    if gate.plugin is not None:
        for one in problems(gate.plugin.Spec, gate.body, here):
            yield Problem(one.path, one.code, f"gate {gate.name!r}: {one.message}")
    elif gate.kind in NOT_BUILT:
        there = f"there are {', '.join(sorted(gate.known))}"
        why = INSTEAD.get(gate.kind, f"is not built yet; {there}")
        yield Problem((*here, "kind"), "unsupported-kind", f"gate kind {gate.kind!r}: {why}")
    else:
        near = INSTEAD.get(gate.kind) or nearest(gate.kind, list(gate.known))
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(gate.known))}"
        yield Problem((*here, "kind"), "unsupported-kind", f"gate kind {gate.kind!r} is not known; {hint}")
