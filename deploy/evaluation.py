"""What a run says of its candidate's evaluation: figures, and what else gates judge by. Text is read as JSON."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import AwareDatetime, Field, field_validator

from deploy.canonical import digest_of
from deploy.gates import examples
from deploy.gates.evidence import plain
from deploy.gates.examples import Examples
from deploy.names import check_digest, check_uri
from deploy.shape import Shape, allow
from retrain.events import JsonValue

MOST_INLINE = 1 << 20
"""Bytes of a table of examples, of curves or of features that are written in the candidate itself."""
MOST_SIGNATURE = 64 << 10


def from_text(value: Any) -> Any:
    """Outputs of workflow steps are text: a JSON object in a string is that object, an empty string is nothing."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is text that is not JSON: {error}") from None


def optional_from_text(value: Any) -> Any:
    """As `from_text`; what is empty is None."""
    return from_text(value) or None


def _or_none(value: Any) -> Any:
    return value or None


def _bounded(value: Any, most: int) -> Any:
    if value is not None and (size := len(orjson.dumps(value))) > most:
        raise ValueError(f"has {size} bytes; {most} may be written here, more lies in an artifact")
    return value


def _bounded_from_text(value: Any) -> Any:
    return _bounded(from_text(value), MOST_INLINE)


def _small_from_text(value: Any) -> Any:
    return _bounded(optional_from_text(value), MOST_SIGNATURE)


def _examples_from_text(value: Any) -> Any:
    given = _bounded(optional_from_text(value), MOST_INLINE)
    # Told apart here, so that what is wrong is said of the one that was meant.
    return Table.model_validate(given) if isinstance(given, dict) and "uri" in given else given


def is_digest(value: str) -> str:
    """The digest, for a validator of pydantic's.

    Raises:
        ValueError: it is none.
    """
    if why := check_digest(value):
        raise ValueError(f"{value[:80]!r} {why}")
    return value


class Rescored(Shape):
    """The live model's metrics (and signature), measured by the candidate's run on the candidate's data."""

    digest: str
    metrics: dict[str, JsonValue]
    signature: JsonValue = None

    _is_digest = field_validator("digest")(is_digest)
    _metrics = field_validator("metrics", mode="before")(from_text)
    _signature = field_validator("signature", mode="before")(_small_from_text)


class Slice(Shape):
    """A part of the evaluation set: how many examples, the metrics on it, and the live model's."""

    n: int = Field(ge=0)
    metrics: dict[str, JsonValue]
    champion: dict[str, JsonValue] = Field(default_factory=dict)


class Table(Shape):
    """Where the table of examples lies. The bytes have this digest, or it is not used."""

    uri: str
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")

    @field_validator("uri")
    @classmethod
    def _is_uri(cls, value: str) -> str:
        return allow(value, check_uri(value))


class Evaluation(Shape):
    """Metrics on a named data set, and what else gates judge by. Its metrics count before the candidate's own.

    `dataset`, `code`: digests of the evaluation set and of what evaluates. `samples`: how many examples it has.
    `examples`: the table of examples itself, or where it lies. `latency` in milliseconds, `size` in bytes.
    """

    dataset: str | None = Field(default=None, max_length=500)
    code: str | None = Field(default=None, max_length=500)
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    champion: Rescored | None = None
    samples: int | None = Field(default=None, ge=0)
    examples: Table | dict[str, JsonValue] | list[JsonValue] | None = None
    slices: dict[str, Slice] = Field(default_factory=dict, max_length=1000)
    curves: dict[str, JsonValue] = Field(default_factory=dict, max_length=20)
    latency: dict[str, JsonValue] = Field(default_factory=dict)
    size: dict[str, JsonValue] = Field(default_factory=dict)
    features: dict[str, JsonValue] = Field(default_factory=dict, max_length=1000)
    signature: JsonValue = None
    dataTime: AwareDatetime | None = None

    _objects = field_validator("metrics", "slices", "latency", "size", mode="before")(from_text)
    _bounded = field_validator("curves", "features", mode="before")(_bounded_from_text)
    _optional = field_validator("champion", "samples", mode="before")(optional_from_text)
    _time = field_validator("dataTime", mode="before")(_or_none)
    _examples = field_validator("examples", mode="before")(_examples_from_text)
    _signature = field_validator("signature", mode="before")(_small_from_text)

    @property
    def table(self) -> Examples | None:
        """The table of examples that is written here.

        Raises:
            ConfigError: it is none.
        """
        given = self.examples
        return None if given is None or isinstance(given, Table) else examples.build(given, digest_of(plain(given)))
