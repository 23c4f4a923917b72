"""The table of examples: what both models said of each example of the evaluation set. Reading it is pure.

A JSON object of columns, all of one length: `id`, and of `label`, `candidate`, `champion` (what each model said),
`candidateLoss`, `championLoss` (lower is better), `candidateScore`, `championScore` (probability of the positive
class), `groups: {NAME: [...]}` what there is. A list of rows, `[{"id": 1, "label": ...}, ...]`, is the same table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from retrain.errors import ConfigError
from retrain.events import JsonValue

MOST_BYTES = 64 * 1024 * 1024
MOST_ROWS = 1_000_000
PLAIN = ("label", "candidate", "champion")
NUMBERS = ("candidateLoss", "championLoss", "candidateScore", "championScore")
Single = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Examples:
    """The columns. `digest`: of the table's bytes; it stands for all of them in the evidence."""

    digest: str
    ids: Sequence[str | int]
    plain: Mapping[str, Sequence[Single]] = field(default_factory=dict)
    numbers: Mapping[str, Sequence[float]] = field(default_factory=dict)
    groups: Mapping[str, Sequence[Single]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def right(self, model: str) -> list[bool] | str:
        """Whether `candidate` or `champion` was right, by example; or what is missing, in words."""
        for column in ("label", model):
            if column not in self.plain:
                return f"the table of examples has no column {column!r}"
        labels = self.plain["label"]
        return [same(said, label) for said, label in zip(self.plain[model], labels, strict=True)]

    def losses(self, model: str) -> Sequence[float] | str:
        """The loss of each example: the column, else 0 for a right answer and 1 for a wrong one."""
        if f"{model}Loss" in self.numbers:
            return self.numbers[f"{model}Loss"]
        right = self.right(model)
        return right if isinstance(right, str) else [0.0 if one else 1.0 for one in right]


def same(one: Single, other: Single) -> bool:
    """Whether two labels are the same; 1 and True are not, 1 and 1.0 are."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def parse(data: bytes, digest: str) -> Examples:
    """Read a table from JSON.

    Raises:
        ConfigError: it is none; the message says what is wrong where.
    """
    if len(data) > MOST_BYTES:
        raise ConfigError(f"the table of examples has {len(data)} bytes; {MOST_BYTES} may be")
    try:
        body: JsonValue = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"the table of examples is no JSON: {error}") from error
    return build(body, digest)


def build(body: JsonValue, digest: str) -> Examples:
    """A table from its JSON.

    Raises:
        ConfigError: as `parse`.
    """
    columns = _turned(cast("list[JsonValue]", body)) if isinstance(body, list) else body
    if not isinstance(columns, Mapping):
        raise ConfigError("the table of examples is an object of columns, or a list of rows")
    if unknown := sorted(set(columns) - {"id", "groups", *PLAIN, *NUMBERS}):
        known = ", ".join(("id", *PLAIN, *NUMBERS, "groups"))
        raise ConfigError(f"the table of examples has an unknown column {unknown[0][:80]!r}; there are {known}")
    ids = _ids(columns.get("id"))
    groups = columns.get("groups") or {}
    if not isinstance(groups, Mapping):
        raise ConfigError("groups of the table of examples is an object of columns")
    return Examples(
        digest,
        ids,
        {name: _singles(columns[name], name, len(ids)) for name in PLAIN if name in columns},
        {name: _floats(columns[name], name, len(ids)) for name in NUMBERS if name in columns},
        {name: _singles(column, f"groups.{name}", len(ids)) for name, column in groups.items()},
    )


def _turned(rows: Sequence[JsonValue]) -> dict[str, Any]:
    """Rows as columns. Every row has the fields of the first."""
    if not rows or any(not isinstance(row, Mapping) for row in rows):
        raise ConfigError("the table of examples is a list of something else than rows (objects), or is empty")
    table = cast("Sequence[Mapping[str, JsonValue]]", rows)
    for number, row in enumerate(table):
        if row.keys() != table[0].keys():
            other = sorted(row.keys() ^ table[0].keys())[0]
            raise ConfigError(f"row {number} of the table of examples differs from the first in {other!r}")
    columns: dict[str, Any] = {name: [row[name] for row in table] for name in table[0]}
    if "groups" in columns:
        columns["groups"] = _turned(columns["groups"])
    return columns


def _ids(column: JsonValue) -> Sequence[str | int]:
    if not isinstance(column, list) or not column:
        raise ConfigError("the table of examples needs a column 'id' with at least one example")
    if len(column) > MOST_ROWS:
        raise ConfigError(f"the table of examples has {len(column)} rows; {MOST_ROWS} may be")
    if any(isinstance(one, bool) or not isinstance(one, str | int) for one in column):
        raise ConfigError("an id of the table of examples is text or a whole number")
    ids = cast("Sequence[str | int]", column)
    if len(set(ids)) != len(ids):
        raise ConfigError("the table of examples has an id twice: one example must not count twice")
    return ids


def _column(column: JsonValue, name: str, length: int) -> Sequence[JsonValue]:
    if not isinstance(column, list) or len(column) != length:
        raise ConfigError(f"column {name!r} of the table of examples must be a list as long as 'id' ({length})")
    return cast("Sequence[JsonValue]", column)


def _singles(column: JsonValue, name: str, length: int) -> Sequence[Single]:
    values = _column(column, name, length)
    for row, value in enumerate(values):
        if not isinstance(value, str | int | float | bool):
            raise ConfigError(f"column {name!r} of the table of examples, row {row}: must be text, number or boolean")
    return cast("Sequence[Single]", values)


def _floats(column: JsonValue, name: str, length: int) -> Sequence[float]:
    values = _column(column, name, length)
    for row, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"column {name!r} of the table of examples, row {row}: must be a finite number")
        if name.endswith("Score") and not 0 <= value <= 1:
            raise ConfigError(f"column {name!r} of the table of examples, row {row}: a probability is from 0 to 1")
    return [float(cast("float", value)) for value in values]
