"""What approvals come to: who counts, how many there are, how many are needed. Pure.

An approval binds to one subject: the digest of model, target, gate report, champion and edits. Where any of these is
another, the subject is another, and the approval has lapsed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from deploy.canonical import digest_of
from deploy.environments import Approvals
from deploy.gates import Verdict, report
from deploy.names import one_line
from deploy.record import EditMade
from retrain.events import JsonValue
from retrain.store.approvals import Approval

NO_CHAMPION = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """What is approved. `target`: repository, branch, environment and promotion. `gates`: the digest of their report.

    `champion`: the digest of the model that is live, "" where none is on record.
    """

    model: str
    target: tuple[str, ...]
    gates: str
    champion: str
    edits: Sequence[EditMade]

    @property
    def subject(self) -> str:
        """`sha256:` and 64 hex digits."""
        return digest_of(
            {
                "model": self.model,
                "target": list(self.target),
                "gates": self.gates,
                "champion": self.champion,
                "edits": digest_of([one.model_dump(mode="json") for one in self.edits]),
            }
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """`counted`: the approvals that count, one of each person. `lapsed`: given for something else; `expired`: too old.

    `until`: when the first of the counted ones expires.
    """

    need: int
    counted: tuple[Approval, ...] = ()
    lapsed: tuple[Approval, ...] = ()
    expired: tuple[Approval, ...] = ()
    rejection: Approval | None = None

    @property
    def have(self) -> int:
        """How many count."""
        return len(self.counted)

    @property
    def enough(self) -> bool:
        """Whether as many as needed said yes, and nobody no."""
        return self.rejection is None and self.have >= self.need

    @property
    def until(self) -> datetime | None:
        """When the first of the counted ones expires."""
        return min((one.expires_at for one in self.counted if one.expires_at), default=None)


def report_digest(verdicts: Sequence[Verdict]) -> str:
    """The digest of what the gates said."""
    return report(verdicts)[1]


def tally(
    terms: Approvals | None, given: Iterable[Approval], subject: str, authors: Collection[str], now: datetime
) -> Tally:
    """Count. `authors`: who may not approve. A rejection counts whatever it was bound to: no is no."""
    asked = terms or Approvals()
    counted: dict[str, Approval] = {}
    lapsed: list[Approval] = []
    expired: list[Approval] = []
    rejection: Approval | None = None
    for one in given:
        if why_not(asked, one.actor, one.roles, authors if one.decision == "approve" else ()) is not None:
            continue
        if one.decision == "reject":
            rejection = rejection or one
        elif one.subject != subject:
            lapsed.append(one)
        elif one.expires_at is not None and one.expires_at <= now:
            expired.append(one)
        else:
            # A later word of the same person takes the place of the earlier one: it expires later.
            counted[person(one.actor)] = one
    again = {person(one.actor) for one in counted.values()}
    return Tally(
        need=asked.required if terms else 0,
        counted=tuple(sorted(counted.values(), key=lambda one: (one.at, one.id))),
        lapsed=tuple(one for one in lapsed if person(one.actor) not in again),
        expired=tuple(one for one in expired if person(one.actor) not in again),
        rejection=rejection,
    )


def why_not(terms: Approvals, actor: str, roles: Collection[str], authors: Collection[str]) -> str | None:
    """Why this person's word does not count; None: it does."""
    if not actor:
        return "nobody has said who it is"
    if not set(roles) & set(terms.roles):
        return f"{actor} has the roles {_names(roles)}; this needs one of {_names(terms.roles)}"
    if terms.notBy == "author" and person(actor) in {person(author) for author in authors}:
        why = f"{actor} has proposed or started it, or written what it was trained by"
        return f"{why}; somebody else must approve it (approvals.notBy: author)"
    return None


def person(name: str) -> str:
    """A name as people are told apart by."""
    return " ".join(name.split()).casefold()


def trailers(approvals: Iterable[Approval]) -> list[tuple[str, str]]:
    """The commit's lines that say who approved."""
    return [("Approved-By", _line(one)) for one in approvals]


def trailers_of(recorded: Iterable[Mapping[str, JsonValue]]) -> list[tuple[str, str]]:
    """The same lines, of approvals as a record keeps them."""
    return trailers(_from_record(one) for one in recorded)


def _from_record(one: Mapping[str, JsonValue]) -> Approval:
    roles = one.get("roles")
    return Approval(
        promotion="",
        subject=str(one.get("subject") or ""),
        decision="approve",
        actor=str(one.get("actor") or ""),
        verified=bool(one.get("verified")),
        roles=tuple(str(role) for role in roles) if isinstance(roles, list) else (),
        reason=str(one.get("reason") or ""),
        at=datetime.fromisoformat(str(one["at"])),
    )


def to_record(approvals: Iterable[Approval]) -> tuple[dict[str, JsonValue], ...]:
    """The approvals as the record file keeps them."""
    return tuple(
        {
            "actor": one_line(one.actor),
            "verified": one.verified,
            "roles": list(one.roles),
            "reason": one_line(one.reason),
            "at": one.at.isoformat(),
            "expiresAt": one.expires_at.isoformat() if one.expires_at else None,
            "subject": one.subject,
        }
        for one in approvals
    )


def _line(one: Approval) -> str:
    doubt = "" if one.verified else ", unverified"
    return one_line(f"{one_line(one.actor, 120)} ({', '.join(one.roles)}{doubt}) {one.at:%Y-%m-%dT%H:%M:%SZ}")


def _names(roles: Collection[str]) -> str:
    return ", ".join(sorted(roles)) or "none"
