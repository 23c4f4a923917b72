"""What a gate that asks somebody gets back, as it is recorded: bound to the gate and the evidence it is about.

An answer is JSON: `{"key", "status": "done"|"pending"|"error", "reason", "again", ...}`, the rest is the kind's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

from deploy.canonical import digest_of
from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, say
from retrain.events import JsonValue

Answer = Mapping[str, JsonValue]


def key_of(spec: GateSpec, evidence: Evidence) -> str:
    """What an answer is good for: this gate, these models with these figures, and this span of `validFor`."""
    epoch = None
    length: timedelta | None = getattr(spec, "validFor", None)  # a plugin's model need not have it
    if length is not None and evidence.now is not None:
        epoch = int(evidence.now.timestamp() // length.total_seconds())
    body: dict[str, Any] = spec.model_dump(mode="json", exclude={"advisory", "validFor"})
    return digest_of({"gate": body, "evidence": evidence.digest, "epoch": epoch})


def done(**more: JsonValue) -> dict[str, JsonValue]:
    """It answered."""
    return {"status": "done", "reason": "", "again": False, **more}


def pending(reason: str, **more: JsonValue) -> dict[str, JsonValue]:
    """It will answer."""
    return {"status": "pending", "reason": reason, "again": True, **more}


def trouble(reason: str, *, again: bool, **more: JsonValue) -> dict[str, JsonValue]:
    """It could not be asked. `again`: asking once more may help."""
    return {"status": "error", "reason": reason, "again": again, **more}


def answered(spec: GateSpec, evidence: Evidence) -> Answer | Verdict:
    """The answer to judge by, or what there is to say without one."""
    answer = evidence.given.gathered.get(spec.name)
    if not isinstance(answer, Mapping):
        return Verdict(spec.name, spec.kind, "pending", "not asked yet", again=True)
    if answer.get("key") != key_of(spec, evidence):
        reason = "asked about another candidate, champion or gate; it is to be asked again"
        return Verdict(spec.name, spec.kind, "pending", reason, again=True)
    body = answer
    figures = {name: body[name] for name in ("run", "seconds") if name in body}
    match body.get("status"):
        case "done":
            return body
        case "pending":
            return Verdict(spec.name, spec.kind, "pending", str(body.get("reason")), figures, again=True)
        case _:
            again = body.get("again") is True
            return Verdict(spec.name, spec.kind, "error", str(body.get("reason")), figures, again=again)


def opinion(spec: GateSpec, said: Mapping[str, JsonValue], who: str) -> Verdict:
    """The verdict that somebody else gave: `{"verdict", "reason", "figures"}`. What is none is an error."""
    verdict, reason, figures = said.get("verdict"), said.get("reason") or "", said.get("figures") or {}
    if verdict not in {"pass", "fail", "error", "pending", "skipped"}:
        words = f"{who} gave the verdict {str(verdict)[:40]!r}; it must be pass, fail, error, pending or skipped"
        return say(spec, "error", words)
    if not isinstance(reason, str) or not isinstance(figures, Mapping):
        return say(spec, "error", f"{who} gave a reason that is no text, or figures that are no object")
    outcome: Any = verdict
    again = outcome in {"error", "pending"}
    said_why = reason[:500] or f"{who} says {verdict}"
    return Verdict(spec.name, spec.kind, outcome, said_why, dict(cast("Answer", figures)), again=again)
