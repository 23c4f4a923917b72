"""Whether the inputs are still those of the reference: the run gives both, as samples or as histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

from pydantic import Field, model_validator

from deploy.gates import distances
from deploy.gates.evidence import Evidence
from deploy.gates.verdict import GateSpec, Verdict, say
from retrain.events import JsonValue


class Spec(GateSpec):
    """`features`: those that are judged. `maxPsi`, `maxKs`: at most; `minP`: the KS test's chance, at least.

    Samples are put into `bins` of the reference's quantiles for PSI. `maxDrifted`: so many features may be out of
    bounds.
    """

    kind: Literal["drift"]
    features: tuple[str, ...] = Field(min_length=1)
    maxPsi: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    maxKs: float | None = Field(default=None, ge=0, le=1)
    minP: float | None = Field(default=None, gt=0, lt=1)
    bins: int = Field(default=10, ge=2, le=1000)
    maxDrifted: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> Spec:
        if self.maxPsi is None and self.maxKs is None and self.minP is None:
            raise ValueError("drift needs maxPsi, maxKs or minP")
        return self


@dataclass(frozen=True, slots=True)
class _Seen:
    """One side of a feature: a sample, or counts over bins. `bins`: the edges, or the names of categories in order."""

    sample: Sequence[float] = ()
    counts: Sequence[float] = ()
    bins: tuple[Any, ...] = ()

    @property
    def ordered(self) -> bool:
        return not any(isinstance(one, str) for one in self.bins)


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if more than `maxDrifted` features are out of bounds; error if one that was declared cannot be compared."""
    rows: list[JsonValue] = []
    wrong: list[str] = []
    for name in spec.features:
        row = _feature(spec, evidence.facts.features.get(name), name)
        if isinstance(row, str):
            return say(spec, "error", f"feature {name!r}: {row}")
        rows.append({"feature": name, **row})
        if words := _over(spec, row):
            wrong.append(f"{name}: {words}")
    if len(wrong) > spec.maxDrifted:
        return say(spec, "fail", "; ".join(wrong[:5]), features=rows, drifted=len(wrong))
    return say(
        spec,
        "pass",
        f"{len(rows) - len(wrong)} of {len(rows)} features are as in the reference",
        features=rows,
        drifted=len(wrong),
    )


def _feature(spec: Spec, given: JsonValue, name: str) -> dict[str, float] | str:
    if not isinstance(given, Mapping) or "now" not in given or "reference" not in given:
        return f"the run did not give evaluation.features.{name} with now and reference"
    now, reference = _read(given["now"]), _read(given["reference"])
    for side, seen in (("now", now), ("reference", reference)):
        if isinstance(seen, str):
            return f"{side} {seen}"
    return _distances(spec, cast("_Seen", now), cast("_Seen", reference))


def _read(given: JsonValue) -> _Seen | str:
    """`{"values": [...]}`, `{"edges": [...], "counts": [...]}` or `{"counts": {"red": 3}}`; else what is wrong."""
    match given:
        case {"values": list() as values} if values and all(map(_is_number, values)):
            return _Seen(sample=cast("Sequence[float]", values))
        case {"edges": list() as edges, "counts": list() as counts} if _is_histogram(edges, counts):
            return _Seen(counts=cast("Sequence[float]", counts), bins=tuple(edges))
        case {"counts": Mapping() as counts} if _are_counts(list(counts.values())):
            names = tuple(sorted(counts))
            return _Seen(counts=[cast("float", counts[one]) for one in names], bins=names)
        case _:
            return (
                "is neither values (numbers), nor edges and counts (one count less than edges), nor counts by category"
            )


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_counts(counts: Sequence[JsonValue]) -> bool:
    return (
        all(_is_number(one) and cast("float", one) >= 0 for one in counts) and sum(cast("Sequence[float]", counts)) > 0
    )


def _is_histogram(edges: Sequence[JsonValue], counts: Sequence[JsonValue]) -> bool:
    numbers = cast("Sequence[float]", edges)
    rising = all(map(_is_number, edges)) and all(one < other for one, other in pairwise(numbers))
    return rising and len(counts) == len(edges) - 1 and _are_counts(counts)


def _distances(spec: Spec, now: _Seen, reference: _Seen) -> dict[str, float] | str:
    if now.sample and reference.sample:
        edges = distances.quantile_edges(reference.sample, spec.bins)
        psi = distances.psi(distances.counted(now.sample, edges), distances.counted(reference.sample, edges))
        ks, n, m = distances.ks(now.sample, reference.sample), len(now.sample), len(reference.sample)
        return {"psi": psi, "ks": ks, "p": distances.ks_chance(ks, n, m), "n": n}
    if now.sample or reference.sample:
        return "one side is a sample, the other a histogram; give both in one form"
    return _of_counts(spec, now, reference)


def _of_counts(spec: Spec, now: _Seen, reference: _Seen) -> dict[str, float] | str:
    if now.ordered != reference.ordered or (now.ordered and now.bins != reference.bins):
        return "now and reference have different bins"
    here, there = now.counts, reference.counts
    if not now.ordered:
        if spec.maxKs is not None or spec.minP is not None:
            return "categories have no order, so KS means nothing for them; use maxPsi"
        names = sorted({*now.bins, *reference.bins})
        here, there = ([dict(zip(s.bins, s.counts, strict=True)).get(n, 0) for n in names] for s in (now, reference))
        return {"psi": distances.psi(here, there), "n": sum(here)}
    ks = distances.ks_of_counts(here, there)
    return {
        "psi": distances.psi(here, there),
        "ks": ks,
        "p": distances.ks_chance(ks, sum(here), sum(there)),
        "n": sum(here),
    }


def _over(spec: Spec, row: Mapping[str, float]) -> str:
    if spec.maxPsi is not None and row["psi"] > spec.maxPsi:
        return f"PSI is {row['psi']:.4g}, more than {spec.maxPsi:g}"
    if spec.maxKs is not None and row["ks"] > spec.maxKs:
        return f"KS is {row['ks']:.4g}, more than {spec.maxKs:g}"
    if spec.minP is not None and row["p"] < spec.minP:
        return f"the same distribution has a chance of {row['p']:.3g}, less than {spec.minP:g}"
    return ""
