"""The report of all gates: canonical JSON, whose digest goes into the commit and is what approvals are given for.

It follows from what the record keeps (`gates`), so whoever has the commit can compute it again. Each gate's part names
the digest of the evidence that it was judged by: candidate, champion, data, figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from deploy.canonical import canonical
from deploy.gates.verdict import Verdict
from retrain.events import JsonValue

SCHEMA = "retrain.dev/gate-report/v1"


def report(verdicts: Sequence[Verdict]) -> tuple[bytes, str]:
    """The report's bytes and their digest. Gates are in the order of their names: the manifest's order decides nothing.

    Raises:
        ValueError: a figure is no JSON.
    """
    return written([verdict.to_dict() for verdict in verdicts])


def written(gates: Sequence[Mapping[str, JsonValue]]) -> tuple[bytes, str]:
    """The same of gates as the record has them.

    Raises:
        ValueError: as `report`.
    """
    body = canonical({"schema": SCHEMA, "gates": sorted(gates, key=lambda gate: str(gate.get("name")))})
    return body, f"sha256:{sha256(body).hexdigest()}"
