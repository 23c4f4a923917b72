"""The model that wants to go live, as a sensor hands it over."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from deploy.gates import Measured
from deploy.names import check_digest, check_uri
from retrain.errors import ConfigError
from retrain.events import JsonValue


def _from_text(value: Any) -> Any:
    """Outputs of workflow steps are text: a JSON object in a string is that object, an empty string is nothing."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is text that is not JSON: {error}") from None


def _optional_from_text(value: Any) -> Any:
    return _from_text(value) or None


def _digest(value: str) -> str:
    if why := check_digest(value):
        raise ValueError(f"{value[:80]!r} {why}")
    return value


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rescored(_Model):
    """The live model's metrics, measured by the candidate's run on the candidate's data."""

    digest: str
    metrics: dict[str, JsonValue]

    _is_digest = field_validator("digest")(_digest)
    _metrics = field_validator("metrics", mode="before")(_from_text)


class Evaluation(_Model):
    """Metrics on a named data set. Where it has metrics they count, not the candidate's own."""

    dataset: str | None = Field(default=None, max_length=500)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    champion: Rescored | None = None

    _metrics = field_validator("metrics", mode="before")(_from_text)
    _champion = field_validator("champion", mode="before")(_optional_from_text)


class Candidate(_Model):
    """A model by its digest, and what is known about it. Metrics may be numbers or text that spells them."""

    digest: str
    uri: str
    version: str | None = Field(default=None, max_length=200)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    evaluation: Evaluation | None = None
    run: str | None = Field(default=None, max_length=200)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    events: tuple[str, ...] = Field(default=(), max_length=100)

    _objects = field_validator("metrics", "parameters", mode="before")(_from_text)
    _evaluation = field_validator("evaluation", mode="before")(_optional_from_text)
    _is_digest = field_validator("digest")(_digest)

    @field_validator("uri")
    @classmethod
    def _is_uri(cls, value: str) -> str:
        if why := check_uri(value):
            raise ValueError(f"{value[:80]!r} {why}")
        return value

    @property
    def measured(self) -> Measured:
        """Its metrics as gates want them."""
        evaluation = self.evaluation
        metrics = evaluation.metrics if evaluation and evaluation.metrics else self.metrics
        return Measured(self.digest, metrics, evaluation.dataset if evaluation else None)

    @property
    def rescored(self) -> Measured | None:
        """The champion as the candidate's run measured it."""
        champion = self.evaluation.champion if self.evaluation else None
        if champion is None or self.evaluation is None:
            return None
        return Measured(champion.digest, champion.metrics, self.evaluation.dataset)


def read(body: JsonValue) -> Candidate:
    """Read a candidate.

    Raises:
        ConfigError: a field is missing, unknown or wrong; the message names each.
    """
    try:
        return Candidate.model_validate(body)
    except ValidationError as error:
        problems = [
            f"candidate.{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False)
        ]
        raise ConfigError("; ".join(problems)) from error
