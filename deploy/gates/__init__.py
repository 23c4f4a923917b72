"""Gates: pure judgements over a candidate and the champion. One file per kind, behind `KINDS`.

A kind is a module (or any object) with `Spec`, a pydantic model with `name` and `kind`, and `judge(spec, evidence)`.
Others add kinds by the entry-point group `retrain.gates`; a Promotion carries those that it names.
"""

from deploy.gates import champion, threshold
from deploy.gates.verdict import Evidence, Kind, Measured, Verdict, number

KINDS: dict[str, Kind] = {"threshold": threshold, "champion": champion}

__all__ = ["KINDS", "Evidence", "Kind", "Measured", "Verdict", "number"]
