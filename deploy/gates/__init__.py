"""Gates: judgements over a candidate and the champion. One file per kind, behind `KINDS`.

A kind is a module (or any object) with `Spec`, a pydantic model with `name` and `kind`, and `judge(spec, evidence)`,
which is pure. A kind that must ask somebody has `async gather(spec, evidence, tools)`, too; what it gives is recorded,
and judged from the record. Others add kinds by the entry-point group `retrain.gates`; a Promotion carries those that
it names.

    verdict, evidence, examples, canonical    what is said, and by what      baseline, paired, distances    figures
    asking, gathering, answers                judging all; asking others     report                         its digest
"""

from deploy.gates import (
    budget,
    calibration,
    champion,
    drift,
    expr,
    fairness,
    freshness,
    http,
    infra,
    schema,
    slices,
    threshold,
    workflow,
)
from deploy.gates.asking import Built, ask_all
from deploy.gates.evidence import Evidence, Facts, Given, Measured
from deploy.gates.gathering import Tools, gather_all
from deploy.gates.report import report, written
from deploy.gates.verdict import Kind, Verdict, number, overall

KINDS: dict[str, Kind] = {
    "budget": budget,
    "calibration": calibration,
    "champion": champion,
    "drift": drift,
    "expr": expr,
    "fairness": fairness,
    "freshness": freshness,
    "http": http,
    "infra": infra,
    "schema": schema,
    "slices": slices,
    "threshold": threshold,
    "workflow": workflow,
}

__all__ = [
    "KINDS",
    "Built",
    "Evidence",
    "Facts",
    "Given",
    "Kind",
    "Measured",
    "Tools",
    "Verdict",
    "ask_all",
    "gather_all",
    "number",
    "overall",
    "report",
    "written",
]
