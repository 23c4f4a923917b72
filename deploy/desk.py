"""What people may do to promotions: approve, reject, retry, roll back, hold, release. Each goes on the audit record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from deploy import approvals as counting
from deploy import clearance, outcomes, proposals, waiving
from deploy.authors import authors
from deploy.environments import Approvals
from deploy.names import one_line
from deploy.outcomes import Ending
from deploy.record import Record
from deploy.rollout import aftermath, canary, holds
from deploy.rollout.canary import is_canary_under_way
from deploy.spec import PromotionDocument
from deploy.states import IN_BRANCH, OPEN, may
from retrain import faults
from retrain.errors import ConfigError, Forbidden, NotFound, Refused
from retrain.events import JsonValue
from retrain.identity import Principal
from retrain.store import approvals, audit, promotions
from retrain.store.approvals import Approval
from retrain.store.audit import Deed
from retrain.store.promotions import Hold, PromotionRow

REASON = 2000
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes what people ask for, inside a transaction of the store. `documents` are those that run now."""

    documents: Callable[[], Mapping[str, PromotionDocument]]

    def document(self, name: str) -> PromotionDocument:
        """The Promotion of that name.

        Raises:
            NotFound: there is none.
        """
        documents = self.documents()
        if name not in documents:
            raise NotFound(f"no promotion is named {name!r}; there are {', '.join(sorted(documents)) or 'none'}")
        return documents[name]

    def target(self, name: str, environment: str | None = None) -> PromotionDocument:
        """The Promotion, to one environment: that of this name, or its only one.

        Raises:
            NotFound, ConfigError: there is no such Promotion or environment, or it is not said which.
        """
        document = self.document(name)
        if environment is None and len(document.environments) > 1:
            there = ", ".join(document.environments)
            raise ConfigError(f"{name} has several environments; say which: --environment with one of {there}")
        return document.at(environment or document.entry)

    def approve(
        self, connection: Connection, promotion_id: str, by: Principal, reason: str, now: datetime, subject: str = ""
    ) -> PromotionRow:
        """Say yes. `subject`: what was looked at; where it is given and has changed since, nothing is approved.

        Raises:
            NotFound: there is no such promotion.
            Forbidden: this person may not: no eligible role, no name, or their own work.
            Refused: it does not wait for approvals.
        """
        row = self._row(connection, promotion_id)
        document = self.document(row.name).at(row.environment)
        terms = document.spec.approvals
        who = authors(connection, document, row)
        if terms is None:
            raise Refused(f"{row.id}: {row.environment} asks for no approvals")
        _check_eligible(terms, by, who, row)
        if row.state != "awaiting" or row.subject is None:
            raise Refused(f"{row.id} is {row.state}: only what is awaiting can be approved")
        if subject and subject != row.subject:
            raise Refused(
                f"{row.id}: what was looked at has changed since; look again (promotions show) and approve that"
            )
        before = counting.tally(terms, approvals.of(connection, row.id), row.subject, who, now)
        one = _decision(row, by, reason, now, "approve", terms)
        number = approvals.add(connection, one)
        faults.point("approval.before_commit")
        after = counting.tally(terms, approvals.of(connection, row.id), row.subject, who, now)
        promotions.save(
            connection, None, row.id, now, was=("awaiting",), next_attempt=now, waiting=_counted(row, after)
        )
        outcomes.tell_decision(connection, row, one, number)
        if after.enough and not before.enough:
            outcomes.tell(connection, row, "approved", f"approved-{number}", now)
        deed = _deed(by, "approve", row.id, reason, now)
        _note(connection, deed, {"have": before.have}, {"have": after.have, "need": after.need})
        return self._row(connection, row.id)

    def reject(
        self, connection: Connection, promotion_id: str, by: Principal, reason: str, now: datetime
    ) -> PromotionRow:
        """Say no: the promotion is over, and the model is remembered for this target.

        A canary that is under way is taken back: by a rollback of its own, with a hold.

        Raises:
            NotFound: there is no such promotion.
            Forbidden: this person may not.
            Refused: it is over, or being committed.
        """
        row = self._row(connection, promotion_id)
        document = self.document(row.name).at(row.environment)
        terms = document.spec.approvals or Approvals()
        # Nobody needs another's leave to stop their own work.
        _check_eligible(terms, by, (), row)
        if row.action == "promote" and is_canary_under_way(document, row):
            return self._stop_canary(connection, document, row, by, reason, now)
        if row.action != "promote" or not may(row.state, "rejected"):
            raise Refused(f"{row.id} is {row.state}: {_too_late(row)}")
        one = _decision(row, by, reason, now, "reject", terms)
        number = approvals.add(connection, one)
        outcomes.tell_decision(connection, row, one, number)
        faults.point("approval.before_commit")
        outcomes.emit(connection, None, row, Ending("rejected", clearance.said_no(one)), now)
        _note(connection, _deed(by, "reject", row.id, reason, now), {"state": row.state}, {"state": "rejected"})
        return self._row(connection, row.id)

    def retry(
        self, connection: Connection, promotion_id: str, by: Principal, reason: str, now: datetime
    ) -> PromotionRow:
        """Try what has ended without a commit again, as a new promotion; look at one that waits now.

        One that is `unhealthy` is verified again, or goes on with its canary, and is not committed anew.

        Raises:
            NotFound: there is no such promotion, or no document for it any more.
            Forbidden: nobody has said who it is.
            Refused: it is committed, or a rollback.
        """
        row = self._row(connection, promotion_id)
        document = self.document(row.name).at(row.environment)
        _check_known(by)
        if row.state == "unhealthy":
            return self._look_again(connection, document, row, by, reason, now)
        if row.action != "promote" or row.state in IN_BRANCH:
            raise Refused(f"{row.id} is {row.state if row.action == 'promote' else 'a rollback'}: nothing to try again")
        if row.state in OPEN:
            promotions.save(connection, None, row.id, now, next_attempt=now)
            after = row.id
        else:
            after = proposals.again(connection, row, by.name, now)
        _note(connection, _deed(by, "retry", row.id, reason, now), {"state": row.state}, {"promotion": after})
        return self._row(connection, after)

    def _look_again(
        self,
        connection: Connection,
        document: PromotionDocument,
        row: PromotionRow,
        by: Principal,
        reason: str,
        now: datetime,
    ) -> PromotionRow:
        if (back := promotions.taking_back(connection, row.name, row.environment)) is not None:
            raise Refused(f"{row.id}: {back.id} is about to roll it back")
        if (newer := promotions.after(connection, row)) is not None:
            raise Refused(f"{row.id}: {newer.id} came after it")
        looks = canary.resumed(document, row, now)
        begun: dict[str, JsonValue] = {"state": "committed", "reason": "", "verification": looks}
        promotions.save(connection, None, row.id, now, was=("unhealthy",), next_attempt=now, **begun)
        holds.lift(connection, row, now)
        _note(connection, _deed(by, "retry", row.id, reason, now), {"state": row.state}, {"state": "committed"})
        return self._row(connection, row.id)

    def _stop_canary(
        self,
        connection: Connection,
        document: PromotionDocument,
        row: PromotionRow,
        by: Principal,
        reason: str,
        now: datetime,
    ) -> PromotionRow:
        hold = Hold(row.name, row.environment, reason or f"the canary of {row.id} was rejected", by.name, now)
        self.hold(connection, hold, by, "reject")
        aftermath.take_back(connection, document, row, reason, now, by.name)
        return self._row(connection, row.id)

    def propose(
        self,
        connection: Connection,
        document: PromotionDocument,
        candidate: Mapping[str, JsonValue],
        environment: str | None,
        by: Principal,
        now: datetime,
    ) -> str:
        """Propose a candidate by hand: gates, approvals and all else hold as for any other, and it is not theirs to
        approve.

        Raises:
            Forbidden: nobody has said who it is.
            ConfigError: the candidate is none, or the Promotion has no such environment.
        """
        _check_known(by)
        actor = one_line(by.name, 200)
        request = proposals.PromotionRequest(document.name, candidate, None, 0, environment, actor)
        promotion_id = proposals.submit(connection, document, request, now)
        told: JsonValue = {"promotion": promotion_id, "digest": candidate.get("digest")}
        _note(connection, _deed(by, "propose", document.name, "", now), None, told)
        return promotion_id

    def waive(self, connection: Connection, promotion_id: str, wish: waiving.Wish, now: datetime) -> PromotionRow:
        """Let a promotion that gates have refused go on, as a new one. Raises as `waiving.waive`, and NotFound."""
        row = self._row(connection, promotion_id)
        target = self.document(row.name).at(row.environment)
        after = waiving.waive(connection, target, row, wish, now)
        told: JsonValue = {"promotion": after, "gates": list(wish.gates)}
        _note(connection, _deed(wish.by, "waive", row.id, wish.reason, now), {"state": row.state}, told)
        return self._row(connection, after)

    def hold(self, connection: Connection, hold: Hold, by: Principal, action: str = "hold") -> None:
        """Keep automation away from a target.

        Raises:
            Forbidden: nobody has said who it is.
        """
        _check_known(by)
        before = promotions.holding(connection, hold.name, hold.environment)
        hold = replace(hold, reason=one_line(hold.reason, REASON), actor=one_line(hold.actor, 200))
        promotions.hold(connection, hold)
        where = f"{hold.name}/{hold.environment}"
        _note(connection, _deed(by, action, where, hold.reason, hold.created), _hold(before), _hold(hold))

    def release(
        self, connection: Connection, target: PromotionDocument, by: Principal, reason: str, now: datetime
    ) -> bool:
        """Let automation promote there again; False if nothing held it.

        Raises:
            Forbidden: nobody has said who it is.
            Refused: a rollback is on its way there, and must find nothing new when it comes.
        """
        _check_known(by)
        environment = target.spec.environment
        before = promotions.holding(connection, target.name, environment)
        if before is None:
            return False
        if (back := promotions.taking_back(connection, target.name, environment)) is not None:
            why = f"the rollback {back.id} is {back.state}; release it once that is in the branch"
            raise Refused(f"{target.name}: {environment} stays held: {why}")
        promotions.release_hold(connection, target.name, environment)
        for row in promotions.awaiting(connection, target.name):
            promotions.save(connection, None, row.id, now, next_attempt=now)
        _note(connection, _deed(by, "release", f"{target.name}/{environment}", reason, now), _hold(before), None)
        return True

    def rollback(
        self,
        connection: Connection,
        target: PromotionDocument,
        record: Record | None,
        by: Principal,
        reason: str,
        now: datetime,
    ) -> str:
        """Propose the way back from what `record` says is live, and hold the target; the promotion's id.

        Raises:
            Forbidden: nobody has said who it is.
            Refused: nothing is on record to go back to.
        """
        environment = target.spec.environment
        if record is None or record.live is None or not record.wayBack:
            raise Refused(f"{target.name}: there is nothing on record to go back to in {environment}")
        live = record.live
        row = PromotionRow(
            id="",
            intent_key=proposals.intent_key(target, live.digest, "rollback"),
            name=target.name,
            environment=environment,
            candidate={
                "digest": live.digest,
                "uri": live.uri,
                "reason": one_line(reason),
                "actor": one_line(by.name),
            },
            created=now,
            updated=now,
            next_attempt=now,
            action="rollback",
            actor=one_line(by.name),
        )
        # The hold comes first: nothing may be promoted between the wish and the commit.
        hold = Hold(target.name, environment, reason or f"rolled back from {live.digest}", by.name, now)
        self.hold(connection, hold, by, "rollback")
        return proposals.propose(connection, row)

    def _row(self, connection: Connection, promotion_id: str) -> PromotionRow:
        row = promotions.get(connection, promotion_id)
        if row is None:
            raise NotFound(f"{promotion_id}: no such promotion; `retrain promotions list` shows the ids")
        return row


def _check_eligible(terms: Approvals, by: Principal, who: frozenset[str] | tuple[str, ...], row: PromotionRow) -> None:
    _check_known(by)
    if why := counting.why_not(terms, by.name, by.roles, who):
        raise Forbidden(f"{row.id}: {why}")


def _check_known(by: Principal) -> None:
    if not one_line(by.name):
        raise Forbidden("nobody has said who it is: send a token of your own, or say --actor")


def _too_late(row: PromotionRow) -> str:
    if row.action != "promote":
        return "a rollback is not rejected"
    over = row.state in {*IN_BRANCH, "committing"}
    return "roll it back instead (promotions rollback)" if over else "it is over already"


def _decision(
    row: PromotionRow, by: Principal, reason: str, now: datetime, decision: approvals.Decision, terms: Approvals
) -> Approval:
    return Approval(
        promotion=row.id,
        subject=row.subject or "",
        decision=decision,
        actor=one_line(by.name, 200),
        verified=by.verified,
        roles=tuple(sorted(by.roles & set(terms.roles))),
        reason=one_line(reason, REASON),
        at=now,
        expires_at=now + terms.expires if decision == "approve" else None,
    )


def _counted(row: PromotionRow, tally: counting.Tally) -> JsonValue:
    known = row.waiting if isinstance(row.waiting, dict) else {}
    until = tally.until.isoformat() if tally.until else None
    return {**known, "have": tally.have, "need": tally.need, "until": until}


def _hold(hold: Hold | None) -> JsonValue:
    return {"reason": hold.reason, "actor": hold.actor, "created": hold.created.isoformat()} if hold else None


def _deed(by: Principal, verb: str, subject: str, reason: str, now: datetime) -> Deed:
    return Deed(
        at=now,
        actor=one_line(by.name, 200),
        verified=by.verified,
        action=f"promotions.{verb}",
        subject=subject,
        reason=one_line(reason, REASON),
        origin=by.place,
    )


def _note(connection: Connection, deed: Deed, before: JsonValue, after: JsonValue) -> None:
    audit.record(connection, replace(deed, before=before, after=after))
