"""Gates: pure judgements over a candidate and the champion. One file per kind, behind `KINDS`.

A kind is a module (or any object) with `Spec`, a pydantic model with `name` and `kind`, and `judge(spec, evidence)`.
Others add kinds by the entry-point group `retrain.gates`.
"""

from typing import Any

from deploy.gates import champion, threshold
from deploy.gates.verdict import Evidence, Measured, Verdict

KINDS: dict[str, Any] = {"threshold": threshold, "champion": champion}

__all__ = ["KINDS", "Evidence", "Measured", "Verdict"]
