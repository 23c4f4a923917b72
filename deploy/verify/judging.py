"""What a promotion's commit claims, held against what is in it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import orjson

from deploy import provenance
from deploy import record as records
from deploy.edits import edit as editing
from deploy.edits import selector
from deploy.edits.edit import EditRefused
from deploy.edits.walk import Target
from deploy.provenance import PublicKey
from deploy.record import EditMade, Record
from deploy.trailers import parse
from retrain.errors import Refused
from retrain.events import JsonValue

Answer = Literal["yes", "no", "unknown"]
"""`unknown`: it cannot be told from here; never counted as a no."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question's answer, and why."""

    check: str
    answer: Answer
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a commit. `before` and `after`: contents of the files that it touches, by path; None: not there.

    `signature` and `model` were judged where they could be: by git, and beside the model. `chain`: the record files of
    the commits before, newest first. `origin_key`: whose statement of origin is believed, None: nobody said.
    """

    record_file: str
    message: str
    before: Mapping[str, bytes | None]
    after: Mapping[str, bytes | None]
    chain: Sequence[bytes] = ()
    signature: Check = field(default_factory=lambda: Check("signature", "unknown", "nobody looked"))
    model: Check = field(default_factory=lambda: Check("model", "unknown", "nobody looked"))
    origin_key: PublicKey | None = None


def judge(found: Found) -> list[Check]:
    """All checks, each answered; without a readable record only those that need none."""
    try:
        record = records.read(found.after.get(found.record_file), found.record_file)
    except Refused as error:
        return [found.signature, Check("record", "no", str(error))]
    if record is None:
        return [found.signature, Check("record", "no", f"{found.record_file}: the commit does not hold it")]
    trailers = parse(found.message)
    return [
        found.signature,
        _record(record, found),
        _trailers(record, trailers),
        _gates(record),
        _approvals(record, trailers),
        _edits(record, found),
        _chain(record, found),
        _origin(record, trailers, found),
        found.model,
    ]


def _record(record: Record, found: Found) -> Check:
    if found.before.get(found.record_file) == found.after.get(found.record_file):
        return Check("record", "no", f"{found.record_file} is as it was: this commit is no promotion of it")
    who = record.promotion
    path = f"/{who.get('name')}/{who.get('environment')}.json"
    if not found.record_file.endswith(path):
        return Check("record", "no", f"{found.record_file} speaks of {path[1:-5]!r}")
    return Check("record", "yes", f"{who.get('action')} {who.get('id')}, number {record.number} of its target")


def _claims(record: Record) -> dict[str, Any]:
    """What the trailers must say, by key; None: nothing."""
    who, live = record.promotion, record.live
    past = record.rolledBack if who.get("action") == "rollback" else record.wayBack[0].live if record.wayBack else None
    return {
        "Retrain-Promotion": who.get("id"),
        "Retrain-Intent": who.get("intent"),
        "Retrain-Action": who.get("action"),
        "Retrain-Step": record.step,
        "Retrain-Target": f"{who.get('environment')}/{who.get('name')}",
        "Retrain-Run": who.get("run"),
        "Model-Digest": live.digest if live else None,
        "Model-Uri": live.uri if live else None,
        "Model-Version": live.version if live else None,
        "Previous-Model-Digest": past.digest if past else None,
        "Gate-Report-Digest": record.gateReport,
    }


def _trailers(record: Record, trailers: Sequence[tuple[str, str]]) -> Check:
    if not trailers:
        return Check("trailers", "no", "the message ends with none")
    said = dict(trailers)
    for key, claim in _claims(record).items():
        times = sum(1 for name, _ in trailers if name == key)
        if times > 1:
            return Check("trailers", "no", f"{key} is there {times} times")
        wanted = dict(parse(records.message("x", {key: str(claim) if claim is not None else None}))).get(key)
        if said.get(key) != wanted:
            return Check("trailers", "no", f"{key} says {said.get(key)!r}, the record {wanted!r}")
    return Check("trailers", "yes", f"{len(trailers)} lines, as the record has it")


def _gates(record: Record) -> Check:
    if not record.gates:
        return Check("gates", "unknown", "none is on record" + ("; a rollback asks none" if record.rolledBack else ""))
    if record.gateReport is None:
        return Check("gates", "unknown", "the record is of a version that kept no digest of the report")
    if (digest := records.report_digest(record.gates)) != record.gateReport:
        return Check("gates", "no", f"the report has the digest {digest}, the record says {record.gateReport}")
    waived = [one for one in record.gates if one.get("verdict") == "fail" and one.get("waived")]
    good = {"pass", "skipped"}
    fatal = [g for g in record.gates if g.get("verdict") not in good and not g.get("advisory") and g not in waived]
    if fatal:
        said = ", ".join(f"{one.get('name')}: {one.get('verdict')}" for one in fatal)
        return Check("gates", "no", f"not passed: {said}")
    left = ", ".join(f"{one.get('name')} waived by {_waiver(one)}" for one in waived) or "none said no"
    return Check("gates", "yes", f"{len(record.gates)} asked, {left}; {record.gateReport[:19]}…")


def _waiver(gate: Mapping[str, JsonValue]) -> str:
    said = gate.get("waived")
    return records.one_line(str(said.get("actor")), 120) if isinstance(said, dict) else "nobody"


def _approvals(record: Record, trailers: Sequence[tuple[str, str]]) -> Check:
    told = Counter(value.partition(" (")[0] for key, value in trailers if key == "Approved-By")
    kept = Counter(records.one_line(str(one.get("actor", "")), 120) for one in record.approvals)
    if told != kept:
        return Check("approvals", "no", f"the message names {_names(told)}, the record {_names(kept)}")
    subjects = {str(one.get("subject")) for one in record.approvals}
    if len(subjects) > 1:
        return Check("approvals", "no", f"they are for {len(subjects)} different things")
    if not kept:
        return Check("approvals", "unknown", "none is on record")
    doubt = [str(one.get("actor")) for one in record.approvals if not one.get("verified", True)]
    tail = f"; not verified: {', '.join(doubt)}" if doubt else ""
    return Check("approvals", "yes", f"{_names(kept)}{tail}")


def _names(people: Counter[str]) -> str:
    return ", ".join(sorted(people.elements())) or "nobody"


def _edits(record: Record, found: Found) -> Check:
    ours = {found.record_file, *_envelopes(record, found)}
    touched = {path for path in found.after if found.after[path] != found.before.get(path)} - ours
    if record.rolledBack is not None:
        return _taken_back(touched, found)
    named = {made.file for made in record.edits}
    if extra := touched - named:
        return Check("edits", "no", f"the commit also changes {', '.join(sorted(extra)[:5])}")
    for file in sorted(named):
        made = [made for made in record.edits if made.file == file]
        if why := _undone(file, made, found.after.get(file), found.before.get(file)):
            return Check("edits", "no", why)
    return Check("edits", "yes", f"{len(record.edits)} in {len(named)} files; taken back they give the files before")


def _taken_back(touched: set[str], found: Found) -> Check:
    """A rollback: whether the files are what the edits that the record before has, taken back, make of them."""
    try:
        before = records.read(found.before.get(found.record_file), found.record_file)
    except Refused as error:
        return Check("edits", "no", str(error))
    if before is None or not before.wayBack:
        return Check("edits", "no", "the record before has nothing to go back to")
    edits = before.wayBack[0].edits
    named = {made.file for made in edits}
    if extra := touched - named:
        return Check("edits", "no", f"the commit also changes {', '.join(sorted(extra)[:5])}")
    for file in sorted(named):
        made = [one for one in edits if one.file == file]
        if why := _undone(file, made, found.before.get(file), found.after.get(file)):
            return Check("edits", "no", why)
    return Check("edits", "yes", f"{len(edits)} in {len(named)} files, each taken back")


def _undone(file: str, made: Sequence[EditMade], now: bytes | None, then: bytes | None) -> str:
    """Why the recorded edits, taken back, do not give the file `then`; "" if they do, byte for byte."""
    if now is None:
        return f"{file}: is not in the commit"
    try:
        restored = now
        # One by one: a canary that is taken back changes a value more than once.
        for one in reversed(made):
            target = Target(selector.parse(one.path), one.resource)
            restored, _ = editing.apply(restored, [(target, one.back)], file)
    except EditRefused as error:
        return str(error)
    return "" if restored == then else f"{file}: more changed than the record says"


def _envelopes(record: Record, found: Found) -> Iterator[str]:
    if record.live is not None:
        yield provenance.file_of(found.record_file, record.live.digest)


def _chain(record: Record, found: Found) -> Check:
    before = found.before.get(found.record_file)
    if records.digest(before) != record.previousRecord:
        said = record.previousRecord or "that there is none"
        return Check("chain", "no", f"the record before has the digest {records.digest(before)}, this one says {said}")
    files = [found.after[found.record_file] or b"", *found.chain]
    for depth, (newer, older) in enumerate(pairwise(files)):
        if _said_before(newer) != records.digest(older):
            return Check("chain", "no", f"the record {depth + 1} steps back is not the one that the next names")
    if len(files) > 1 and _said_before(files[-1]) is not None:
        return Check("chain", "unknown", f"{len(files)} records hold together; the history before is not here")
    return Check("chain", "yes", f"{len(files)} records, each names the one before")


def _said_before(body: bytes) -> str | None:
    try:
        return orjson.loads(body).get("previousRecord")
    except (orjson.JSONDecodeError, AttributeError):
        return "no record"


def _origin(record: Record, trailers: Sequence[tuple[str, str]], found: Found) -> Check:
    name = "provenance"
    told = dict(trailers).get("Provenance-Digest")
    envelope = next((found.after.get(path) for path in _envelopes(record, found)), None)
    if told is None:
        return Check(name, "unknown", "the commit has no statement of origin")
    if envelope is None or record.live is None:
        return Check(name, "no", "the message names a statement of origin that is not there")
    try:
        payload, signatures = provenance.payload_of(envelope)
    except Refused as error:
        return Check(name, "no", f"the statement of origin {error}")
    if provenance.digest(payload) != told:
        return Check(name, "no", f"the statement of origin is {provenance.digest(payload)}, the message says {told}")
    if provenance.subject_of(payload) != record.live.digest:
        return Check(name, "no", "the statement of origin is about another model")
    if found.origin_key is None:
        return Check(name, "unknown", "nobody said whose statement counts; give --provenance-key")
    if not provenance.is_signed(payload, signatures, found.origin_key):
        return Check(name, "no", f"it is not signed by {provenance.key_id(found.origin_key)[:16]}")
    return Check(name, "yes", f"signed by {provenance.key_id(found.origin_key)[:16]}")
