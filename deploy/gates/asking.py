"""A gate ready to be asked, and asking it: whatever a kind does, there is a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter
from typing import Any

from deploy.gates.evidence import Evidence
from deploy.gates.verdict import Kind, Verdict
from retrain.telemetry import meters


@dataclass(frozen=True, slots=True)
class Built:
    """A gate: its kind, and what the user wrote of it as the kind's own model has it."""

    name: str
    kind_name: str
    kind: Any
    spec: Any
    advisory: bool = False
    valid_for: timedelta | None = None

    @property
    def asks(self) -> bool:
        """Whether somebody must be asked before it can judge."""
        return hasattr(self.kind, "gather") and getattr(self.spec, "asks", True)


def ask_all(gates: Sequence[Built], evidence: Evidence) -> list[Verdict]:
    """Every gate's verdict, in their order; none is left out because another failed."""
    digest = evidence.digest
    return [_ask(gate, evidence, digest) for gate in gates]


def _ask(gate: Built, evidence: Evidence, digest: str) -> Verdict:
    started = perf_counter()
    verdict = _judge(gate, evidence)
    meters.GATE_SECONDS.observe(perf_counter() - started, gate.kind_name)
    meters.GATE_VERDICTS.add(gate.kind_name, verdict.verdict)
    expires = None
    if gate.valid_for is not None and evidence.now is not None and verdict.verdict in {"pass", "fail", "skipped"}:
        expires = (evidence.now + gate.valid_for).isoformat()
    # Whatever a plugin calls itself, the report knows the gate by the name that the manifest gave it.
    named = replace(verdict, name=gate.name, kind=gate.kind_name, again=verdict.again or _table_late(verdict, evidence))
    return replace(named, advisory=gate.advisory, expires_at=expires, evidence=digest)


def _table_late(verdict: Verdict, evidence: Evidence) -> bool:
    """Whether it could not be judged for want of the table of examples, and the table may be had later."""
    given = evidence.given
    return verdict.verdict == "error" and given.examples_again and given.examples_problem in verdict.reason


def _judge(gate: Built, evidence: Evidence) -> Verdict:
    kind: Kind = gate.kind
    try:
        verdict = kind.judge(gate.spec, evidence)
    # Gates come from other packages, too: one that breaks has not judged, and the promotion ends with its reason.
    except Exception as error:  # noqa: BLE001
        return Verdict(gate.name, gate.kind_name, "error", f"the gate crashed: {type(error).__name__}: {error}")
    if isinstance(verdict, Verdict):
        return verdict
    return Verdict(gate.name, gate.kind_name, "error", f"the gate gave no Verdict but a {type(verdict).__name__}")
