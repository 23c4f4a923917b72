"""Spans of promotions: gates, push, verification."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from retrain.app.tracing.span import TEXT, Attributes, Made, Span
from retrain.store import promotions
from retrain.store.promotions import PromotionRow
from retrain.telemetry.ids import span_id


def of_promotions(connection: Connection, ids: list[str]) -> Made:
    """The spans of these promotions, each with its parts."""
    rows = {name: row for name in ids if (row := promotions.get(connection, name)) is not None}
    return {name: _of_promotion(row) for name, row in rows.items()}


def _of_promotion(row: PromotionRow) -> list[Span]:
    mine = span_id("promotion", row.id)
    above = span_id("promotion", row.parent) if row.parent else None
    above = span_id("action", row.firing_id) if row.firing_id and above is None else above
    above = span_id("run", row.run_id) if row.run_id and above is None else above
    end = row.ended or row.updated
    attributes: Attributes = {
        "retrain.promotion": row.id,
        "retrain.environment": row.environment,
        "retrain.action": row.action,
        "retrain.state": row.state,
        "retrain.reason": row.reason[:TEXT],
    }
    failed = row.reason[:TEXT] if row.state in {"failed", "refused", "unhealthy"} else None
    whole = Span(f"{row.action} {row.name}", mine, above, row.created, max(end, row.created), attributes, failed=failed)
    return [whole, *_parts(row, mine, end)]


def _parts(row: PromotionRow, mine: str, end: datetime) -> list[Span]:
    """Gates, push and verification, as far as they are known."""
    times: Mapping[str, Any] = row.timings if isinstance(row.timings, dict) else {}
    at = {name: datetime.fromisoformat(said) for name, said in times.items() if isinstance(said, str)}
    found: list[Span] = []
    if row.gates:
        begun = at.get("begun", end)
        judged: list[Any] = [gate for gate in row.gates if isinstance(gate, dict)]
        said: Attributes = {f"retrain.gate.{gate.get('name')}": str(gate.get("verdict")) for gate in judged}
        found.append(Span("gates", span_id("gates", row.id), mine, begun, max(begun, at.get("judged", begun)), said))
    if row.commit_sha is not None:
        begun = at.get("pushing", end)
        commit: Attributes = {"vcs.ref.head.revision": row.commit_sha, "retrain.step": row.step + 1}
        name = span_id("push", row.id, str(row.step))
        found.append(Span("git push", name, mine, begun, max(begun, at.get("pushed", end)), commit, "client"))
    return [*found, *_verification(row, mine)]


def _verification(row: PromotionRow, mine: str) -> list[Span]:
    seen: Mapping[str, Any] = row.verification if isinstance(row.verification, dict) else {}
    since, until = seen.get("since"), seen.get("at")
    if not isinstance(since, str) or not isinstance(until, str) or row.state not in {"live", "unhealthy"}:
        return []
    begun, over = datetime.fromisoformat(since), datetime.fromisoformat(until)
    said: Attributes = {"retrain.outcome": str(seen.get("outcome")), "retrain.reason": str(seen.get("reason"))[:TEXT]}
    failed = str(seen.get("reason"))[:TEXT] if row.state == "unhealthy" else None
    name = span_id("verification", row.id, since)
    return [Span("verification", name, mine, begun, max(begun, over), said, failed=failed)]
