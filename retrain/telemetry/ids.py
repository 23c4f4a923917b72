"""Identities of traces and spans. They follow from what they are of, so a restart, another replica and a replay give
the same: nothing has to be remembered, and what is told twice is told once.

Source: https://www.w3.org/TR/trace-context/ and the CloudEvents extension "Distributed Tracing".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

SpanKind = Literal["event", "decision", "firing", "action", "run", "step", "promotion", "gates", "push", "verification"]

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_STATE = re.compile(r"[\x20-\x7e]{1,512}")
_NONE = {"0" * 32, "0" * 16}


@dataclass(frozen=True, slots=True)
class Parent:
    """Where a trace goes on from: somebody's span."""

    trace: str
    span: str
    sampled: bool

    def header(self) -> str:
        """As `traceparent` has it."""
        return f"00-{self.trace}-{self.span}-{'01' if self.sampled else '00'}"


def trace_id(kind: str, name: str) -> str:
    """The trace that begins with this thing, in 32 hex digits."""
    return sha256(f"trace:{kind}:{name}".encode()).hexdigest()[:32]


def span_id(kind: SpanKind, *name: str) -> str:
    """The span of this thing, in 16 hex digits."""
    return sha256(f"span:{kind}:{chr(0).join(name)}".encode()).hexdigest()[:16]


def run_span(run: str, retries: int) -> str:
    """The span of a run; of one that was tried again after its end, of this try."""
    return span_id("run", run, *([str(retries)] if retries else []))


def step_span(run: str, node: str, retries: int) -> str:
    """The span of a step; of a run that was tried again after its end, of this try."""
    return span_id("step", run, node, *([str(retries)] if retries else []))


def read_parent(text: object) -> Parent | None:
    """What a `traceparent` says; None where there is none, or none that can be used."""
    match = _PARENT.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1] == "ff" or match[2] in _NONE or match[3] in _NONE or (match[1] == "00" and match[5]):
        return None
    return Parent(match[2], match[3], bool(int(match[4], 16) & 1))


def of_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The extension attributes of an event that came with these HTTP headers: `traceparent`, `tracestate` with it."""
    found = {name: value for name, value in headers if name in (b"traceparent", b"tracestate")}
    if not found:
        return {}
    parent, state = (found.get(name, b"").decode("latin-1") for name in (b"traceparent", b"tracestate"))
    if read_parent(parent) is None:
        return {}
    return {TRACEPARENT: parent} | ({TRACESTATE: state} if _STATE.fullmatch(state) else {})
