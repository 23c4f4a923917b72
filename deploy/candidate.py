"""The model that wants to go live, as a sensor hands it over."""

from __future__ import annotations

from dataclasses import replace

import orjson
from pydantic import Field, ValidationError, field_validator

from deploy.canonical import digest_of
from deploy.evaluation import Evaluation, Table, from_text, is_digest, optional_from_text
from deploy.gates import Facts, Given, Measured
from deploy.gates.evidence import plain
from deploy.names import check_uri
from deploy.registry.spec import Registered
from deploy.shape import Shape
from retrain.errors import ConfigError
from retrain.events import JsonValue


class Source(Shape):
    """The commit that the model was trained from; Argo CD shows it beside the promotion's.

    Source: https://argo-cd.readthedocs.io/en/stable/user-guide/source-hydrator/ (`Argocd-reference-commit-*`)
    """

    commit: str = Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")
    repoUrl: str = Field(default="", max_length=2048)
    author: str = Field(default="", max_length=200)
    subject: str = Field(default="", max_length=500)
    body: str = Field(default="", max_length=10_000)
    date: str = Field(default="", max_length=100)

    @property
    def trailers(self) -> dict[str, str | None]:
        """By key. Argo CD reads the body as a JSON string, which keeps its line ends on one line."""
        names = ("sha", "repourl", "author", "subject", "date")
        values = (self.commit, self.repoUrl, self.author, self.subject, self.date)
        body = orjson.dumps(self.body[:200]).decode() if self.body else None
        fields = {f"Argocd-reference-commit-{name}": value for name, value in zip(names, values, strict=True)}
        return {**fields, "Argocd-reference-commit-body": body}


class Candidate(Shape):
    """A model by its digest, and what is known about it. Metrics may be numbers or text that spells them."""

    digest: str
    uri: str
    version: str | None = Field(default=None, max_length=200)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    evaluation: Evaluation | None = None
    run: str | None = Field(default=None, max_length=200)
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    events: tuple[str, ...] = Field(default=(), max_length=100)
    source: Source | None = None
    registered: Registered | None = None

    _objects = field_validator("metrics", "parameters", mode="before")(from_text)
    _evaluation = field_validator("evaluation", mode="before")(optional_from_text)
    _is_digest = field_validator("digest")(is_digest)

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
        if evaluation is None:
            return Measured(self.digest, metrics)
        return Measured(self.digest, metrics, evaluation.dataset, evaluation.code, evaluation.signature)

    @property
    def rescored(self) -> Measured | None:
        """The champion as the candidate's run measured it."""
        champion = self.evaluation.champion if self.evaluation else None
        if champion is None or self.evaluation is None:
            return None
        evaluation = self.evaluation
        return Measured(champion.digest, champion.metrics, evaluation.dataset, evaluation.code, champion.signature)

    @property
    def facts(self) -> Facts:
        """What else the run says, as gates want it."""
        evaluation = self.evaluation or Evaluation()
        given = evaluation.examples
        table = given.digest if isinstance(given, Table) else digest_of(plain(given)) if given is not None else None
        return Facts(
            uri=self.uri,
            parameters=self.parameters,
            slices={name: one.model_dump() for name, one in evaluation.slices.items()},
            latency=evaluation.latency,
            size=evaluation.size,
            features=evaluation.features,
            curves=evaluation.curves,
            data_time=evaluation.dataTime,
            samples=evaluation.samples,
            examples_digest=table,
        )

    def with_table(self, given: Given) -> Given:
        """What was fetched, with the table of examples if the candidate has it in itself."""
        evaluation = self.evaluation
        if evaluation is None or evaluation.examples is None or given.examples is not None or given.examples_problem:
            return given
        try:
            if (table := evaluation.table) is not None:
                return replace(given, examples=table)
        except ConfigError as error:
            return replace(given, examples_problem=str(error))
        return replace(given, examples_problem="the table of examples was not read yet", examples_again=True)


def read(body: JsonValue) -> Candidate:
    """Read a candidate.

    Raises:
        ConfigError: a field is missing, unknown or wrong; the message names each.
    """
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError as error:  # half a surrogate pair: nothing could write it down
        raise ConfigError(f"candidate: is no JSON: {error}") from error
    try:
        return Candidate.model_validate(body)
    except ValidationError as error:
        problems = [
            f"candidate.{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False)
        ]
        raise ConfigError("; ".join(problems)) from error
