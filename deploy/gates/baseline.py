"""The champion's figures on the candidate's data: the same yardstick, or none.

Figures from different data, or from different evaluation code, are not compared: that is the commonest silent mistake
of champion and challenger.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from deploy.gates.evidence import Evidence, Measured
from deploy.gates.verdict import GateSpec, Verdict, missing, number, say

Direction = Literal["higher", "lower"]
OnNoChampion = Literal["pass", "fail"]


def baseline(evidence: Evidence) -> Measured | str | None:
    """The champion as it was measured on the candidate's data; why that is not known; None if nothing is live."""
    if evidence.champion_unknown:
        return evidence.champion_unknown
    live = evidence.champion
    if live is None:
        return None
    rescored = evidence.rescored
    if rescored is not None and rescored.digest == live.digest:
        return rescored
    if rescored is not None:
        return f"stale baseline: the run compared with {rescored.digest}, but {live.digest} is live; evaluate again"
    return _on_record(evidence.candidate, live)


def _on_record(candidate: Measured, live: Measured) -> Measured | str:
    cure = "let the run score both and pass evaluation.champion"
    if candidate.dataset is None or candidate.dataset != live.dataset:
        mine, other = candidate.dataset or "unnamed data", live.dataset or "unnamed data"
        return f"stale baseline: the champion was measured on {other}, the candidate on {mine}; {cure}"
    if candidate.code != live.code:
        mine, other = candidate.code or "unnamed code", live.code or "unnamed code"
        return f"stale baseline: the champion was measured by {other}, the candidate by {mine}; {cure}"
    return live


def none_live(spec: GateSpec, on_no_champion: OnNoChampion) -> Verdict:
    """What to say where nothing is on record yet."""
    if on_no_champion == "pass":
        return say(spec, "pass", "nothing is on record as live yet, and onNoChampion is pass")
    return say(spec, "fail", "nothing is on record as live yet; set onNoChampion: pass to let the first one through")


def figure_of(spec: GateSpec, champion: Measured, metric: str) -> Decimal | Verdict:
    """The champion's figure, or the verdict that it has none."""
    value = number(champion.metrics, metric)
    if value is None:
        return say(spec, "error", f"of the champion: {missing(champion.metrics, metric)}", champion=champion.digest)
    return value


def gain(candidate: Decimal, champion: Decimal, direction: Direction) -> Decimal:
    """By how much the candidate is better; negative if it is worse."""
    return candidate - champion if direction == "higher" else champion - candidate
