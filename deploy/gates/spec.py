"""The gates as a Promotion has them: each of the kind that it names, a plugin's among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deploy.gates import KINDS, budget
from deploy.gates.asking import Built
from deploy.gates.verdict import GateSpec
from deploy.other_kind import OtherKind, any_of
from retrain.errors import ConfigError
from retrain.manifests import Problem
from retrain.manifests.duration import Duration

NOT_BUILT = frozenset({"approval", "attestation"})
INSTEAD = {"approval": "people approve by the environment's approvals, not by a gate", "latency": "budget"}
"""What to write instead."""


class OtherGate(OtherKind):
    """A gate of a kind that is not built in. Plugins' kinds are the context of validation itself."""

    built_in = KINDS
    common = frozenset({"advisory", "validFor"})
    noun = "gate"

    advisory: bool = False
    validFor: Duration | None = None


if TYPE_CHECKING:
    Gate = GateSpec | OtherGate
else:
    Gate = any_of(KINDS, OtherGate)


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
    return Built(gate.name, gate.kind, gate.plugin, gate.spec(), *common)


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
    if gate.plugin is not None or gate.kind not in NOT_BUILT:
        yield from gate.check(here, INSTEAD)
        return
    why = INSTEAD.get(gate.kind, f"is not built yet; there are {', '.join(sorted(gate.known))}")
    yield Problem((*here, "kind"), "unsupported-kind", f"gate kind {gate.kind!r}: {why}")
