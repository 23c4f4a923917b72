"""What a promotion comes to on a given commit: landed already, nothing to do, or a commit and its gates. Pure.

Called afresh for every attempt, so that a lost race is judged again by what is live now.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from deploy import approvals, render
from deploy import record as records
from deploy import waivers as waiving
from deploy.applying import Drifted, changed_since, edited, taken_back, target_of
from deploy.approvals import NO_CHAMPION, Binding
from deploy.candidate import Candidate
from deploy.edits import edit as editing
from deploy.edits import serving
from deploy.edits.edit import Remove, Value
from deploy.edits.spec import Edit
from deploy.gates import Evidence, Given, Verdict, ask_all, overall
from deploy.gates import spec as gate_specs
from deploy.record import AtStep, EditMade, Held, Live, Made, Record, StepBack
from deploy.rollout import steps
from deploy.spec import PromotionDocument
from deploy.waivers import Waiver
from retrain.errors import ConfigError, Refused
from retrain.events import JsonValue
from retrain.store.approvals import Approval


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted: promote a candidate, or roll back what `digest` made live. `created` dates the commit.

    `step`: of the canary, from 0. `of`: the promotion that a rollback takes out, where it is one and no other. `hold`:
    what the rollback leaves behind.
    """

    id: str
    key: str
    action: Literal["promote", "rollback"]
    digest: str
    created: datetime
    candidate: Candidate | None = None
    firing_id: str | None = None
    reason: str = ""
    actor: str = ""
    approvals: tuple[Approval, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    given: Given = field(default_factory=Given)
    step: int = 0
    of: str = ""
    hold: Held | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """What it comes to. `files` are the commit's new contents, the record among them.

    `unjudged`: a gate could not say yet; asking again may help. `subject`: the digest of what approvals bind to.
    `approvals`: those that the commit names. `warnings`: what a serving system would ignore or refuse of the edits.
    """

    outcome: Literal["commit", "noop", "landed", "refused", "unjudged"]
    reason: str = ""
    verdicts: Sequence[Verdict] = ()
    edits: Sequence[EditMade] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    diff: str = ""
    message: str = ""
    rolled_back: Live | None = None
    subject: str = ""
    approvals: tuple[Approval, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changes(self) -> list[dict[str, JsonValue]]:
        """The values that change, as the command line shows them."""
        return [{"file": e.file, "path": e.path, "old": e.old, "new": e.new} for e in self.edits]

    @property
    def gates(self) -> list[dict[str, JsonValue]]:
        """The gates' reports, as the command line shows them."""
        return [verdict.to_dict() for verdict in self.verdicts]


def files_of(document: PromotionDocument) -> list[str]:
    """The files that a promotion edits, in whichever of its steps, each once."""
    return list(dict.fromkeys(edit.file for edit in document.spec.edits))


def promote(document: PromotionDocument, intent: Intent, contents: Mapping[str, bytes | None]) -> Derived:
    """Derive a promotion. `contents` holds the edited files and the record (None if there is none).

    Raises:
        Refused: an edit cannot be made, or the record is damaged.
        ConfigError: the candidate lacks what a template asks for.
    """
    candidate = intent.candidate
    assert candidate is not None
    before = contents[document.record_file]
    record = records.read(before, document.record_file)
    if record is not None and record.mentions(intent.id):
        return Derived("landed", "the commit is in the branch")
    facts = facts_of(document, intent, candidate)
    files, edits = edited(_wanted(document, facts, 0), contents)
    verdicts = _judge(document, intent, record, contents)
    diff, warned = _diff(contents, files), _warnings(document, {**contents, **files})
    if not files or _is_there(document, intent, contents):
        return Derived("noop", "the manifests say so already", verdicts, edits, warnings=warned)
    if refusals := [verdict for verdict in verdicts if not verdict.ok]:
        reason = "; ".join(f"gate {v.name} {_SAID[v.verdict]}: {v.reason}" for v in refusals)
        outcome = "unjudged" if _may_change(refusals) else "refused"
        return Derived(outcome, reason, verdicts, edits, diff=diff, warnings=warned)
    live = Live(
        digest=candidate.digest,
        uri=candidate.uri,
        promotion=intent.id,
        version=candidate.version,
        run=candidate.run,
        dataset=candidate.measured.dataset,
        metrics=dict(candidate.measured.metrics),
        code=candidate.measured.code,
        signature=candidate.measured.signature,
        registered=candidate.registered.model_dump(exclude_none=True) if candidate.registered else None,
    )
    known = record.live if record and not changed_since(record, contents) else None
    way_back = [StepBack(live=known, edits=tuple(edits)), *(record.wayBack if record else ())]
    subject = _binding(document, candidate, record, verdicts, edits).subject
    approved = tuple(one for one in intent.approvals if one.subject == subject)
    named = approvals.to_record(approved)
    made = Made(
        _identity(document, intent),
        live,
        edits,
        [verdict.to_dict() for verdict in verdicts],
        before,
        way_back,
        approvals=named,
        step=_at(document, 0),
    )
    message = records.message(
        render.render_message(document.spec.commit.message, facts),
        _trailers(document, intent, live, known, made),
        [*approvals.trailers(approved), *waiving.trailers(verdicts)],
    )
    new = {**files, document.record_file: records.write(made)}
    return Derived(
        "commit", "", verdicts, edits, new, diff, message, subject=subject, approvals=approved, warnings=warned
    )


def _binding(
    document: PromotionDocument,
    candidate: Candidate,
    record: Record | None,
    verdicts: Sequence[Verdict],
    edits: Sequence[EditMade],
) -> Binding:
    """What approvals of this promotion are for."""
    repo = document.spec.repo
    return Binding(
        model=candidate.digest,
        target=(repo.url, repo.branch, document.spec.environment, document.name),
        gates=approvals.report_digest(verdicts),
        champion=record.live.digest if record and record.live else NO_CHAMPION,
        edits=edits,
    )


def step(document: PromotionDocument, intent: Intent, contents: Mapping[str, bytes | None]) -> Derived:
    """Derive the next step of a canary: on top of its steps before, by what was judged and approved for the first.

    Raises:
        Refused: something else is live, somebody changed a value since, or an edit cannot be made.
        ConfigError: the candidate lacks what a template asks for.
    """
    candidate = intent.candidate
    assert candidate is not None
    before = contents[document.record_file]
    record = records.read(before, document.record_file)
    if record is None or record.live is None or record.live.promotion != intent.id or not record.wayBack:
        raise Refused(f"{document.record_file}: {intent.id} is not what is live any more")
    if record.step is not None and record.step.number > intent.step:
        return Derived("landed", "the commit is in the branch")
    if changed := changed_since(record, contents):
        raise Refused(changed)
    facts = facts_of(document, intent, candidate)
    files, edits = edited(_wanted(document, facts, intent.step), contents)
    back = record.wayBack[0]
    made = Made(
        _identity(document, intent),
        record.live,
        edits,
        record.gates,
        before,
        [StepBack(live=back.live, edits=(*back.edits, *edits)), *record.wayBack[1:]],
        approvals=record.approvals,
        step=_at(document, intent.step),
    )
    message = records.message(
        render.render_message(document.spec.commit.message, facts),
        _trailers(document, intent, record.live, back.live, made),
        approvals.trailers_of(record.approvals),
    )
    new = {**files, document.record_file: records.write(made)}
    return Derived("commit", "", (), edits, new, _diff(contents, files), message)


def rollback(document: PromotionDocument, intent: Intent, contents: Mapping[str, bytes | None]) -> Derived:
    """Derive the way back: the recorded old values, in a new commit on top.

    Raises:
        Refused: nothing is on record, something else is live, or somebody changed a value since.
    """
    before = contents[document.record_file]
    record = records.read(before, document.record_file)
    if record is not None and record.promotion.get("id") == intent.id:
        return Derived("landed", "the commit is in the branch", rolled_back=record.rolledBack)
    if record is None or record.live is None or not record.wayBack:
        raise Refused(f"{document.record_file}: there is nothing on record to go back to")
    if record.live.digest != intent.digest:
        raise Refused(f"{record.live.digest} is live, not {intent.digest}; nothing was rolled back")
    if intent.of and record.live.promotion != intent.of:
        raise Refused(f"{record.live.promotion} is live, not {intent.of}; nothing was rolled back")
    back = record.wayBack[0]
    try:
        files, edits = taken_back(back.edits, contents)
    except Drifted as changed:
        raise Refused(f"{changed}; nothing was rolled back") from changed
    made = Made(
        _identity(document, intent),
        back.live,
        edits,
        (),
        before,
        record.wayBack[1:],
        rolled_back=record.live,
        hold=intent.hold,
    )
    to = back.live.digest if back.live else "what was there before"
    text = f"rollback({document.name}): {record.live.digest} to {to} in {document.spec.environment}"
    why = f"\n\n{intent.reason}" if intent.reason else ""
    message = records.message(text + why, _trailers(document, intent, back.live, record.live, made))
    new = {**files, document.record_file: records.write(made)}
    return Derived("commit", "", (), edits, new, _diff(contents, files), message, record.live)


def rollback_files(record: Record | None) -> list[str]:
    """The files that a rollback needs: those of the last step, and no others."""
    step = record.wayBack[0] if record and record.wayBack else None
    return list(dict.fromkeys(e.file for e in step.edits)) if step else []


def _may_change(refusals: Sequence[Verdict]) -> bool:
    """Whether the same gates may let the same model through later: an answer is to come, and no gate said no."""
    said = overall(refusals)
    return said == "pending" or (said == "error" and any(verdict.again for verdict in refusals))


_SAID = {"fail": "failed", "error": "could not be judged", "pending": "is pending"}


def facts_of(document: PromotionDocument, intent: Intent, candidate: Candidate) -> dict[str, JsonValue]:
    """What templates may name."""
    body = candidate.model_dump(include={"digest", "uri", "version", "run", "parameters"})
    return {
        "candidate": {**body, "metrics": dict(candidate.measured.metrics)},
        "promotion": {"id": intent.id, "name": document.name, "environment": document.spec.environment},
        "step": steps.facts(document.spec.canary, intent.step),
    }


def _value(edit: Edit, facts: Mapping[str, JsonValue]) -> editing.Edit:
    if edit.value is None:
        return Remove()
    try:
        return Value(render.render(edit.value, facts), create=edit.create)
    except ConfigError as error:
        raise ConfigError(f"{edit.file}: {edit.path}: {error}") from error


def _wanted(
    document: PromotionDocument, facts: Mapping[str, JsonValue], number: int
) -> list[tuple[Edit | EditMade, editing.Edit]]:
    """What a step of the canary edits, from 0; without a canary everything."""
    at = "full" if steps.is_last(document.spec.canary, number) else "canary"
    return [(edit, _value(edit, facts)) for edit in document.spec.edits if edit.at in {None, at}]


def _is_there(document: PromotionDocument, intent: Intent, contents: Mapping[str, bytes | None]) -> bool:
    """Whether the manifests say already what they would say after the canary."""
    last = len(document.spec.canary) - 1
    if last < 1 or intent.candidate is None:
        return False
    facts = facts_of(document, replace(intent, step=last), intent.candidate)
    return not edited(_wanted(document, facts, last), contents)[0]


def _at(document: PromotionDocument, number: int) -> AtStep | None:
    found = steps.shown(document.spec.canary, number)
    return AtStep.model_validate(found) if found else None


def _warnings(document: PromotionDocument, contents: Mapping[str, bytes | None]) -> tuple[str, ...]:
    """What the edited files say that would not work. `contents` are those after the edits."""
    return tuple(
        warning
        for file in files_of(document)
        for warning in serving.warnings(
            contents[file] or b"", file, [target_of(edit) for edit in document.spec.edits if edit.file == file]
        )
    )


def evidence(document: PromotionDocument, intent: Intent, contents: Mapping[str, bytes | None]) -> Evidence:
    """What the gates of a promotion judge by on this commit. `contents` as in `promote`.

    Raises:
        Refused: the record is damaged.
    """
    record = records.read(contents[document.record_file], document.record_file)
    return _evidence(intent, record, contents)


def _evidence(intent: Intent, record: Record | None, contents: Mapping[str, bytes | None]) -> Evidence:
    candidate = intent.candidate
    assert candidate is not None
    changed = changed_since(record, contents) if record else ""
    return Evidence(
        candidate=candidate.measured,
        champion=record.live.measured if record and record.live and not changed else None,
        champion_unknown=f"what is live is not known: {changed}" if changed else "",
        rescored=candidate.rescored,
        facts=candidate.facts,
        given=candidate.with_table(intent.given),
        now=intent.given.at or intent.created,
    )


def _judge(
    document: PromotionDocument, intent: Intent, record: Record | None, contents: Mapping[str, bytes | None]
) -> list[Verdict]:
    verdicts = ask_all(gate_specs.build(document.spec.gates), _evidence(intent, record, contents))
    return waiving.applied(document, verdicts, intent.waivers)


def _identity(document: PromotionDocument, intent: Intent) -> dict[str, JsonValue]:
    candidate = intent.candidate
    return {
        "id": intent.id,
        "intent": intent.key,
        "name": document.name,
        "environment": document.spec.environment,
        "action": intent.action,
        "firing": intent.firing_id,
        "run": candidate.run if candidate else None,
        "events": list(candidate.events) if candidate else [],
        "reason": intent.reason,
        "actor": intent.actor,
        "created": intent.created.isoformat(),
    }


def _trailers(
    document: PromotionDocument,
    intent: Intent,
    live: Live | None,
    previous: Live | None,
    made: Made,
) -> dict[str, str | None]:
    candidate = intent.candidate
    report = records.report_digest(made.gates)
    return {
        "Retrain-Promotion": intent.id,
        "Retrain-Intent": intent.key,
        "Retrain-Action": intent.action,
        "Retrain-Step": str(made.step) if made.step else None,
        "Retrain-Target": f"{document.spec.environment}/{document.name}",
        "Retrain-Run": candidate.run if candidate else None,
        "Retrain-Firing": intent.firing_id,
        "Retrain-Event": ", ".join(candidate.events) if candidate else None,
        "Retrain-Actor": intent.actor,
        "Model-Digest": live.digest if live else None,
        "Model-Uri": live.uri if live else None,
        "Model-Version": live.version if live else None,
        "Model-Registered": _registered(live) if live else None,
        "Model-Dataset": live.dataset if live else None,
        "Gate-Report-Digest": report,
        "Previous-Model-Digest": previous.digest if previous else None,
        "Previous-Model-Version": previous.version if previous else None,
        **(candidate.source.trailers if candidate and candidate.source else {}),
    }


def _registered(live: Live) -> str | None:
    """`digits/7`, and by which alias it was found."""
    if (one := live.registered) is None:
        return None
    return f"{one.get('model')}/{one.get('version')}" + (f" ({one['alias']})" if one.get("alias") else "")


def _diff(contents: Mapping[str, bytes | None], files: Mapping[str, bytes]) -> str:
    parts: list[str] = []
    for file, new in files.items():
        old = (contents[file] or b"").decode(errors="replace").splitlines(keepends=True)
        lines = difflib.unified_diff(
            old, new.decode(errors="replace").splitlines(keepends=True), f"a/{file}", f"b/{file}"
        )
        for line in lines:
            parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)
