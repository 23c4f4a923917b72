"""Evidence for the tests of gates: a candidate, a live model, and a table of what both said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from deploy.gates import KINDS, Evidence, Facts, Given, Measured, Verdict
from deploy.gates.examples import Examples, build

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIVE = Measured("sha256:live", {"accuracy": 0.9}, "d1", "c1")


def gate(kind: str, **fields: Any) -> Any:
    """The gate's spec."""
    return KINDS[kind].Spec.model_validate({"name": "g", "kind": kind, **fields})


def evidence(metrics: Mapping[str, Any] | None = None, **more: Any) -> Evidence:
    """`metrics` of the candidate on d1 by c1; `more` replaces members of Evidence; names of Facts go there."""
    facts = {name: more.pop(name) for name in list(more) if name in Facts.__dataclass_fields__}
    candidate = Measured("sha256:new", metrics or {}, more.pop("dataset", "d1"), more.pop("code", "c1"))
    table = more.pop("table", None)
    given = more.pop("given", Given(examples=table) if table else Given())
    return Evidence(candidate, **{"champion": LIVE, "now": NOW, "facts": Facts(**facts), "given": given, **more})


def ask(kind: str, about: Evidence, **fields: Any) -> Verdict:
    """The verdict of such a gate."""
    return KINDS[kind].judge(gate(kind, **fields), about)


def table(digest: str = "sha256:table", **columns: Sequence[Any] | Mapping[str, Sequence[Any]]) -> Examples:
    """A table of examples; ids are numbers."""
    length = len(next(iter(columns.values())))
    body: Any = {"id": list(range(length)), **columns}
    return build(body, digest)
