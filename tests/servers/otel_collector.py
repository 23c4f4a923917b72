"""OpenTelemetry's collector, and the spans that it has taken."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.program import Program, cache, running


@dataclass(frozen=True, slots=True)
class Taken:
    """A span as the collector has it; ids in hex, times in nanoseconds."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, str]
    links: tuple[str, ...]


@dataclass
class Collector:
    """The collector and its file of spans."""

    program: Program

    @property
    def url(self) -> str:
        return f"http://{self.program.address}"

    def spans(self) -> list[Taken]:
        """All that it has taken, in the order in which they came."""
        file = self.program.data / "spans.json"
        # What it writes now may end in the middle of a line.
        lines = file.read_text().split("\n")[:-1] if file.exists() else []
        scopes = [s for one in lines for r in json.loads(one)["resourceSpans"] for s in r["scopeSpans"]]
        return [_taken(span) for scope in scopes for span in scope["spans"]]


def _taken(span: dict[str, Any]) -> Taken:
    return Taken(
        span["name"],
        span["traceId"],
        span["spanId"],
        span.get("parentSpanId", ""),
        int(span["startTimeUnixNano"]),
        int(span["endTimeUnixNano"]),
        {one["key"]: str(next(iter(one["value"].values()))) for one in span.get("attributes", ())},
        tuple(one["spanId"] for one in span.get("links", ())),
    )


@contextmanager
def collector(data: Path) -> Generator[Collector]:
    there = (cache() / "otelcol-0.156.0" / "otelcol").exists()
    program = Program("otelcol", data)
    with running(program, there=there, how="run tests/servers/otelcol.sh install"):
        yield Collector(program)
