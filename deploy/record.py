"""The record of what is live, kept in the deployment repository in the commit that made it live.

It survives squash merges (trailers do not), says which digest and metrics are live at any commit, and holds the way
back: a stack of what to restore, newest first. Deterministic: the same promotion on the same base gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from deploy.edits import edit as editing
from deploy.edits import selector
from deploy.edits.edit import Anchor, Change, Remove, Undo, Value
from deploy.edits.scalars import Scalar
from deploy.gates import Measured, written
from deploy.names import check_file, one_line
from deploy.trailers import message as message
from retrain.errors import ConfigError, Refused
from retrain.events import JsonValue
from retrain.store.promotions import Hold

SCHEMA = "retrain.dev/promotion-record/v1"
STEPS_BACK = 10


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Live(_Part):
    """A model that is or was live. `promotion` is the id of the one that made it so."""

    digest: str
    uri: str
    promotion: str
    version: str | None = None
    run: str | None = None
    dataset: str | None = None
    metrics: dict[str, JsonValue] = Field(default_factory=dict)
    code: str | None = None
    signature: JsonValue = None
    registered: dict[str, JsonValue] | None = None

    @property
    def measured(self) -> Measured:
        """Its metrics as gates want them."""
        return Measured(self.digest, self.metrics, self.dataset, self.code, self.signature, self.uri)


class Stood(_Part):
    """Where in the file a value stood that was created or removed: `deploy.edits.anchoring.Anchor`."""

    side: Literal["in", "parent", "after", "before", "head"]
    gap: str
    sibling: str | int | None = None


class EditMade(_Part):
    """One value that a commit changed. The texts are the file's own characters.

    `made`: what was created has no old value, what was removed no new one; `stood` is the way back to its place.
    """

    file: str
    path: str
    old: Scalar
    new: Scalar
    oldText: str
    newText: str
    resource: dict[str, str] = Field(default_factory=dict)
    made: editing.Made = "set"
    stood: Stood | None = None

    @property
    def back(self) -> editing.Edit:
        """The edit that takes it back."""
        if self.made == "set" or self.stood is None:
            return Remove() if self.made == "created" else Value(self.old, self.oldText)
        return Undo(self.made, self.oldText, self.newText, Anchor(**self.stood.model_dump()))

    @field_validator("file")
    @classmethod
    def _allowed_file(cls, value: str) -> str:
        # The record lies where others write too: its paths are held to the rules of a manifest's.
        if why := check_file(value):
            raise ValueError(f"{value[:80]!r} {why}")
        return value

    @field_validator("path")
    @classmethod
    def _readable_path(cls, value: str) -> str:
        try:
            selector.parse(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class StepBack(_Part):
    """What was live before (None: nothing of ours), and the edits whose old values bring it back."""

    live: Live | None
    edits: tuple[EditMade, ...]


class AtStep(_Part):
    """The step of a canary, from 1, of how many, and the new model's share of the traffic in percent."""

    number: int = Field(ge=1)
    of: int = Field(ge=1)
    weight: int = Field(ge=1, le=100)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


class Held(_Part):
    """A hold: who keeps automation away from the target, since when (ISO 8601) and why."""

    reason: str
    actor: str
    since: str


class Record(_Part):
    """The record file. `promotion` names this commit's promotion; `rolledBack` what it took out.

    `number`: the how manieth of its target this is, from 1. `gateReport`: the digest of `gates`. `step`: which step of
    a canary this commit is. `hold`: what keeps automation away since this commit.
    """

    schema_: str = Field(alias="schema")
    promotion: dict[str, JsonValue]
    live: Live | None
    edits: tuple[EditMade, ...] = ()
    gates: tuple[dict[str, JsonValue], ...] = ()
    approvals: tuple[dict[str, JsonValue], ...] = ()
    number: int = Field(default=1, ge=1)
    gateReport: str | None = None
    previousRecord: str | None = None
    rolledBack: Live | None = None
    wayBack: tuple[StepBack, ...] = ()
    step: AtStep | None = None
    hold: Held | None = None

    @property
    def standing(self) -> tuple[EditMade, ...]:
        """What was changed so that the manifests read as they do: all steps of a canary, or this commit's edits."""
        return self.wayBack[0].edits if self.step and self.wayBack else self.edits

    def mentions(self, promotion_id: str) -> bool:
        """Whether that promotion's commit is in this branch: it made this record, or one of those before."""
        past = (self.live, self.rolledBack, *(step.live for step in self.wayBack))
        return self.promotion.get("id") == promotion_id or any(one and one.promotion == promotion_id for one in past)


def read(body: bytes | None, file: str) -> Record | None:
    """Read a record file; None where there is none.

    Raises:
        Refused: it was changed by hand into something that is no record.
    """
    if body is None:
        return None
    try:
        record = Record.model_validate(orjson.loads(body))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise Refused(f"{file}: is no promotion record ({one_line(str(error), 200)}); restore it from Git") from error
    if record.schema_ != SCHEMA:
        raise Refused(f"{file}: has the schema {record.schema_[:80]!r}, this version writes {SCHEMA!r}")
    return record


def digest(body: bytes | None) -> str | None:
    """What `previousRecord` holds: the chain of records of one target."""
    return None if body is None else f"sha256:{sha256(body).hexdigest()}"


def report_digest(gates: Sequence[Mapping[str, JsonValue]]) -> str | None:
    """The digest of what the gates said, as canonical JSON; None where none was asked."""
    return written([dict(gate) for gate in gates])[1] if gates else None


def _number(previous: bytes | None) -> int:
    if previous is None:
        return 0
    number = orjson.loads(previous).get("number")
    return number if isinstance(number, int) and number > 0 else 1


@dataclass(frozen=True, slots=True)
class Made:
    """What a new record is made of."""

    promotion: Mapping[str, JsonValue]
    live: Live | None
    edits: Sequence[EditMade]
    gates: Sequence[Mapping[str, JsonValue]]
    previous: bytes | None
    way_back: Sequence[StepBack]
    rolled_back: Live | None = None
    approvals: Sequence[Mapping[str, JsonValue]] = ()
    step: AtStep | None = None
    hold: Held | None = None


def write(made: Made) -> bytes:
    """The record file's bytes: JSON for people, in a fixed order."""
    gates = tuple(dict(gate) for gate in made.gates)
    record = Record(
        schema=SCHEMA,
        promotion=dict(made.promotion),
        live=made.live,
        edits=tuple(made.edits),
        gates=gates,
        approvals=tuple(dict(one) for one in made.approvals),
        number=_number(made.previous) + 1,
        gateReport=report_digest(gates),
        previousRecord=digest(made.previous),
        rolledBack=made.rolled_back,
        wayBack=tuple(made.way_back)[:STEPS_BACK],
        step=made.step,
        hold=made.hold,
    )
    body = record.model_dump(mode="json", by_alias=True)
    # What most promotions have not is left out: their records stay as versions before wrote them.
    body = {name: value for name, value in body.items() if value is not None or name not in {"step", "hold"}}
    return orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def held_by(hold: Hold | None) -> Held | None:
    """A hold as records have it."""
    if hold is None:
        return None
    return Held(reason=one_line(hold.reason), actor=one_line(hold.actor), since=hold.created.isoformat())


def edit_made(file: str, path: str, resource: Mapping[str, str], change: Change) -> EditMade:
    """A change with its place."""
    return EditMade(
        file=file,
        path=path,
        resource=dict(resource),
        old=change.old,
        new=change.new,
        oldText=change.old_text,
        newText=change.new_text,
        made=change.made,
        stood=Stood(**asdict(change.anchor)) if change.anchor else None,
    )
