"""Models: what is live in each environment, since when, by which commit, with which figures; and how it came there.

A model is what a Promotion promotes, and has its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from retrain.app.looking.queries import hold, stamp
from retrain.app.promotions import history
from retrain.errors import NotFound
from retrain.store import approvals, audit, promotion_history, promotions
from retrain.store.audit import Deed
from retrain.store.promotion_history import PastRow
from retrain.store.promotions import Hold

if TYPE_CHECKING:
    from deploy.spec import PromotionDocument

Json = dict[str, Any]
Documents = Mapping[str, "PromotionDocument"]

PAST = 100
"""Promotions of one environment that its history is told from."""
DEEDS = 200
"""Holds and releases of one environment that are looked through."""
LISTED = 30
"""Candidates that did not get there, and moments, that are listed for each environment."""
MOST = 500
"""Models of one list."""


def list_models(connection: Connection, documents: Documents) -> Json:
    """Every model of the project or on record, with what is live in each of its environments."""
    houses, there = _houses(connection, documents), standing(connection)
    names = sorted(houses)[:MOST]
    return {"items": [_model(name, documents.get(name), houses[name], there) for name in names], "next": None}


def show_model(connection: Connection, documents: Documents, name: str, now: datetime, metric: str = "") -> Json:
    """One model with its history: `spans` (what was live when), `moments`, `refused` and `held` by environment.

    `metric`: whose figures `spans` are drawn by; left out: the first that a gate asks for.

    Raises:
        NotFound: no model has that name.
    """
    there = _houses(connection, documents).get(name)
    if there is None:
        raise NotFound(f"{name}: no such model; `retrain models list` shows the names")
    model = _model(name, documents.get(name), there, standing(connection, name))
    pasts = {one: promotion_history.past(connection, name, one, PAST) for one in there}
    names = history.metric_names([row for rows in pasts.values() for row in rows], _asked_for(documents.get(name)))
    told = [_told(connection, one, name, pasts[one["environment"]], now) for one in model["environments"]]
    chosen = metric if metric in names else next(iter(names), "")
    return {**model, "environments": told, "metrics": names, "metric": chosen, "of": PAST}


def _houses(connection: Connection, documents: Documents) -> dict[str, list[str]]:
    """Each model's environments: those of its document in order, then those that are on record only."""
    found = {name: list(document.environments) for name, document in documents.items()}
    for name, environment in promotion_history.targets(connection):
        if environment not in found.setdefault(name, []):
            found[name].append(environment)
    return found


def _model(name: str, document: PromotionDocument | None, environments: Sequence[str], there: Standing) -> Json:
    registry = document.spec.registry if document is not None else None
    return {
        "name": name,
        "namespace": document.metadata.namespace if document is not None else None,
        "gone": document is None,
        "registry": registry.model_dump(mode="json", exclude_none=True) if registry is not None else None,
        "environments": [there.target(name, one) for one in environments],
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """What is live and what is held, by name and environment. `models`: after a rollback, what it went back to."""

    commits: Mapping[tuple[str, str], PastRow]
    models: Mapping[tuple[str, str], PastRow]
    holds: Mapping[tuple[str, str], Hold]

    def target(self, name: str, environment: str) -> Json:
        """One environment of a model."""
        here = (name, environment)
        newest, held = self.commits.get(here), self.holds.get(here)
        return {
            "environment": environment,
            "live": _live(newest, self.models.get(here)) if newest is not None else None,
            "hold": hold(held) if held else None,
        }


def standing(connection: Connection, name: str | None = None) -> Standing:
    """What is so now, of one model or all."""
    held = {(one.name, one.environment): one for one in promotions.all_holds(connection)}
    live = promotion_history.live(connection, name)
    back = any(one.action == "rollback" for one in live.values())
    return Standing(live, promotion_history.live(connection, name, models=True) if back else live, held)


def _live(newest: PastRow, model: PastRow | None) -> Json:
    return {
        "promotion": newest.id,
        "model": model.id if model is not None else None,
        "action": newest.action,
        "state": newest.state,
        "since": stamp(newest.at),
        "commit": newest.commit_sha,
        "step": newest.step + 1,
        **candidate(model.candidate if model is not None else {}),
        "run": model.run_id if model is not None else None,
    }


def candidate(given: Mapping[str, Any]) -> Json:
    """What people know a model by, and its figures."""
    return {
        "version": history.version_of(given),
        "uri": given.get("uri"),
        "digest": given.get("digest"),
        "metrics": history.figures(given),
    }


def _told(connection: Connection, target: Json, name: str, rows: list[PastRow], now: datetime) -> Json:
    deeds = _deeds(connection, f"{name}/{target['environment']}")
    return {
        **target,
        "approvedBy": _approved_by(connection, target["live"]),
        "spans": [_span(one) for one in history.spans(rows)],
        "held": [{"from": stamp(begun), "to": stamp(end)} for begun, end in history.holds(deeds, now)],
        "moments": [_moment(one) for one in history.moments(rows, deeds)[:LISTED]],
        "refused": [_refused(one) for one in history.refused(rows, LISTED)],
    }


def _approved_by(connection: Connection, live: Json | None) -> list[str]:
    """Who said yes to the model that is live."""
    said = approvals.of(connection, live["model"]) if live and live["model"] else []
    return sorted({one.actor for one in said if one.decision == "approve"})


def _deeds(connection: Connection, subject: str) -> list[Deed]:
    return audit.listing(connection, subject=subject, limit=DEEDS).items


def _span(one: history.Span) -> Json:
    return {
        "from": stamp(one.begin),
        "to": stamp(one.end),
        "promotion": one.row.id,
        "commit": one.row.commit_sha,
        "back": one.back,
        "takenBack": one.taken_back,
        "unhealthy": one.sick,
        **candidate(one.row.candidate),
    }


def _moment(one: history.Moment) -> Json:
    return {
        "at": stamp(one.at),
        "what": one.what,
        "promotion": one.promotion,
        "version": history.version_of(one.row.candidate) if one.row is not None else None,
        "commit": one.row.commit_sha if one.row is not None and one.what in {"live", "rollback"} else None,
        "actor": one.actor,
        "reason": one.reason,
    }


def _refused(row: PastRow) -> Json:
    return {
        "promotion": row.id,
        "state": row.state,
        "at": stamp(row.at),
        "reason": row.reason,
        "run": row.run_id,
        **candidate(row.candidate),
    }


def _asked_for(document: PromotionDocument | None) -> list[str]:
    """The metrics that its gates ask for, those against the champion first."""
    if document is None:
        return []
    gates = [gate for one in document.environments for gate in document.at(one).spec.gates]
    gates.sort(key=lambda gate: str(getattr(gate, "kind", "")) != "champion")
    return [str(metric) for gate in gates if (metric := getattr(gate, "metric", None))]
