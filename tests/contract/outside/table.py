"""The table of kinds in docs/sources.md, made of what the code says and the contract suite holds it to."""

from __future__ import annotations

from eventsources.kinds import BUILT_IN, UPSTREAM
from tests.contract.outside import World, world_of

HEAD = (
    "| kind | Argo Events has it | events' type | runs in | while the platform is away | its server dies | order |",
    "|---|---|---|---|---|---|---|",
)


def rows() -> list[str]:
    """The whole table, a line each."""
    return [*HEAD, *(row(kind) for kind in sorted(BUILT_IN, key=str.lower))]


def row(kind: str) -> str:
    """One kind's row."""
    built, world = BUILT_IN[kind], world_of(kind)
    cells = (
        f"[`{kind}`](#{kind.lower()})",
        "yes" if kind in UPSTREAM else "no",
        f"`{built.type}`",
        "all replicas" if built.shared else "one replica",
        _away(world),
        _dies(world),
        "kept" if world.ordered else "not kept",
    )
    return f"| {' | '.join(cells)} |"


def _away(world: type[World]) -> str:
    if world.remembers:
        return "found afterwards"
    return "sent again by who calls" if world.calls and world.redelivers else "lost"


def _dies(world: type[World]) -> str:
    if world.calls or not (world.fixture or world.nowhere):
        return "-"
    return "nothing is lost" if world.survives or world.emulated else "it forgets"
