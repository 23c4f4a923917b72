"""What gates judge by: the candidate and the champion as they were measured, and what was asked of others."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from deploy.canonical import digest_of
from deploy.gates.examples import Examples
from retrain.events import JsonValue


@dataclass(frozen=True, slots=True)
class Measured:
    """A model and its metrics on one data set (by digest; None where nobody said which).

    `code`: digest of what measured it. `signature`: columns that it takes and gives. `uri`: where the live one lies.
    """

    digest: str
    metrics: Mapping[str, JsonValue]
    dataset: str | None = None
    code: str | None = None
    signature: JsonValue = None
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the run says besides metrics, as the candidate's `evaluation` has it; the page of gates tells each."""

    uri: str = ""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    latency: Mapping[str, JsonValue] = field(default_factory=dict)
    size: Mapping[str, JsonValue] = field(default_factory=dict)
    features: Mapping[str, JsonValue] = field(default_factory=dict)
    curves: Mapping[str, JsonValue] = field(default_factory=dict)
    data_time: datetime | None = None
    samples: int | None = None
    examples_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What was fetched before judging: answers that gates gathered by gate name, and the table of examples.

    `examples_problem`: why there is no table though the candidate names one; `examples_again`: fetching may help.
    `at`: when the gates were asked; None is the intent's time.
    """

    gathered: Mapping[str, JsonValue] = field(default_factory=dict)
    examples: Examples | None = None
    examples_problem: str = ""
    examples_again: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What gates judge by.

    `champion`: what Git says is live at the commit that the promotion would follow; None if nothing is on record.
    `champion_unknown`: why it cannot be told (then `champion` is None). `rescored`: the champion's metrics as the
    candidate's run measured them on the candidate's own data. `now` is the intent's time: judging has no clock.
    """

    candidate: Measured
    champion: Measured | None = None
    champion_unknown: str = ""
    rescored: Measured | None = None
    facts: Facts = field(default_factory=Facts)
    given: Given = field(default_factory=Given)
    now: datetime | None = None

    @property
    def examples(self) -> Examples | None:
        """The table of examples, from wherever it came."""
        return self.given.examples

    @property
    def digest(self) -> str:
        """Of the models, the figures, and the table by its digest; not of the time, nor of what was gathered.

        Two promotions of one candidate over one champion have the same.
        """
        return digest_of(self.to_dict())

    def to_dict(self) -> dict[str, JsonValue]:
        """The evidence as JSON, which is also what the gates `http` and `workflow` tell others."""
        facts = self.facts
        return {
            "candidate": {**_measured(self.candidate), "uri": facts.uri, "parameters": plain(facts.parameters)},
            "champion": _measured(self.champion) if self.champion else None,
            "championUnknown": self.champion_unknown,
            "rescored": _measured(self.rescored) if self.rescored else None,
            "slices": plain(facts.slices),
            "latency": plain(facts.latency),
            "size": plain(facts.size),
            "features": plain(facts.features),
            "curves": plain(facts.curves),
            "dataTime": facts.data_time.isoformat() if facts.data_time else None,
            "samples": facts.samples,
            "examples": facts.examples_digest,
        }


def _measured(one: Measured) -> dict[str, JsonValue]:
    return {
        "digest": one.digest,
        "metrics": plain(one.metrics),
        "dataset": one.dataset,
        "code": one.code,
        "signature": plain(one.signature),
    }


def plain(value: object) -> JsonValue:
    """JSON that can be written: what no float can hold, NaN and infinity among it, is text."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, int | float) and not -sys.float_info.max <= value <= sys.float_info.max:
        return str(value)[:400]
    return value if isinstance(value, str | int | float | bool) else None
