"""What checks are asked about: a commit, as the promotion's row tells of it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from deploy.record import Live
from deploy.rollout import steps
from deploy.rollout.check import Subject, part
from deploy.spec import PromotionDocument
from retrain.events import JsonValue
from retrain.store.promotions import PromotionRow


def subject(
    target: PromotionDocument, row: PromotionRow, since: datetime, restored: Live | Literal["nobody"] | None = None
) -> Subject:
    """`target`: the Promotion to the row's environment. `restored`: what a rollback has brought back; None: not known.

    A rollback's own candidate is what was taken out: no check must look for that.
    """
    live = restored if isinstance(restored, Live) else None
    candidate = _candidate(row) if row.action == "promote" else _restored(live)
    promotion: dict[str, JsonValue] = {"id": row.id, "name": row.name, "environment": row.environment}
    step = steps.facts(target.spec.canary, row.step)
    return Subject(
        promotion=row.id,
        name=row.name,
        environment=row.environment,
        action=row.action,
        commit=row.commit_sha or "",
        since=since,
        values=_values(row, candidate.get("uri")),
        facts={"candidate": candidate, "promotion": promotion, "step": step},
        nobody=row.action == "rollback" and restored == "nobody",
    )


def _values(row: PromotionRow, uri: JsonValue) -> tuple[str, ...]:
    """The texts that the commit wrote, and its model's address."""
    changes = row.changes if isinstance(row.changes, list) else []
    texts = [*(part(one).get("new") for one in changes), uri]
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text))


def _candidate(row: PromotionRow) -> dict[str, JsonValue]:
    known = {name: row.candidate.get(name) for name in ("digest", "uri", "version", "run", "parameters")}
    return {**known, "metrics": dict(part(row.candidate, "evaluation", "metrics"))}


def _restored(live: Live | None) -> dict[str, JsonValue]:
    if live is None:
        return {}
    known: dict[str, JsonValue] = {"digest": live.digest, "uri": live.uri, "version": live.version, "run": live.run}
    return {**known, "metrics": dict(live.metrics)}
