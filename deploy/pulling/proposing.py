"""A pull request is brought up to date with what was judged, and the promotion waits for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from deploy import barrier
from deploy.forges import PullRequest
from deploy.outcomes import Pause
from deploy.pulling import acting, saving, telling
from deploy.pulling.ground import Ground
from deploy.pulling.kept import Kept, Memory
from deploy.pulling.looking import Look, Outcome
from deploy.pulling.saving import Rest
from deploy.pulling.step import Step
from deploy.pulling.telling import Text
from retrain.clock import Clock
from retrain.errors import Transient
from retrain.store import Store

log = structlog.get_logger()

SOON_S = 2.0
"""When to look again where the forge is known to need a moment."""


class Proposer:
    """`poll_s`: seconds between two looks at a forge."""

    def __init__(self, store: Store, clock: Clock, poll_s: float) -> None:
        self._store = store
        self._clock = clock
        self._poll_s = poll_s

    async def propose(self, look: Look, seen: Ground, step: Step, pushed: str | None) -> Outcome:
        """Open, adopt, tell of a push or wait. `pushed`: our new commit on the branch.

        Raises:
            Race, Transient, Permanent: as the forge says.
        """
        text = telling.text(look.target, look.wish, seen.derived) if seen.derived.outcome == "commit" else None
        pull, kept = look.sight.pull, look.known.kept
        if step.verb == "open":
            assert text is not None
            pull = await acting.open_pull(look.forge, look.sight.branch, look.target.spec.repo.branch, text)
            kept = replace(look.kept(pull, pushed, seen), memory=Memory(text=text.digest))
        elif pull is not None and (kept is not None or step.verb == "adopt"):
            kept = look.kept(pull, pushed, seen)
        if pull is None or kept is None:
            return await self._without(look, seen, step)
        notes = await acting.decorate(look.forge, pull.number, look.spec) if step.verb in {"open", "adopt"} else ()
        if text is not None and _is_current(seen, step, pushed):
            kept, more = await self._dress(look, seen, step, kept, text)
            notes += more
        reason = "; ".join([_words(step, pull), *notes])
        return await self.rest(look, seen, step, replace(kept, taken_over=_is_taken(step)), reason)

    async def _without(self, look: Look, seen: Ground, step: Step) -> Outcome:
        """There is no pull request yet: it waits here, or for whoever has taken our branch."""
        if step.cleared is None:
            raise Transient(f"{look.sight.branch}: {step.reason}")
        return await self.rest(look, seen, step, None, step.reason)

    async def _dress(
        self, look: Look, seen: Ground, step: Step, kept: Kept, text: Text
    ) -> tuple[Kept, tuple[str, ...]]:
        """Title, text and statuses, where they are not the ones that were told before; and what did not work."""
        notes: tuple[str, ...] = ()
        if kept.memory.text != text.digest:
            await look.forge.update(kept.number, text.title, text.body)
        statuses = telling.statuses(look.target, kept.head, seen.derived, step.cleared.reason if step.cleared else "")
        told = telling.digest(statuses)
        if kept.memory.told != told:
            notes = await acting.show(look.forge, statuses)
        return replace(kept, memory=replace(kept.memory, text=text.digest, told=told)), notes

    async def rest(self, look: Look, seen: Ground, step: Step, kept: Kept | None, reason: str) -> Outcome:
        """Let it wait."""
        now, cleared = self._clock.now(), step.cleared
        times = [at for at in (cleared.due, cleared.tally.until) if at is not None] if cleared else []
        until = min(times, default=None)
        if kept is not None:
            late, said = until.isoformat() if until else "", step.reason if cleared else reason
            # What we did ourselves is not looked at yet.
            seen_now = look.digest if step.verb == "wait" else ""
            memory = replace(kept.memory, seen=seen_now, at=now.isoformat(), until=late, said=said)
            kept = replace(kept, memory=memory)
        pause = Pause(self._again(look, step, kept, now, until), look.asked)
        how = Rest(seen.derived, kept, reason, cleared, pause)
        done = await self._store.write(partial(saving.rest, owner=look.owner, row=look.row, how=how, now=now))
        self._store.signals.notify("outbox")
        log.info("promotion.pull", promotion_id=look.row.id, step=step.verb, reason=reason, number=kept and kept.number)
        return "parked" if done else "lost"

    def _again(self, look: Look, step: Step, kept: Kept | None, now: datetime, until: datetime | None) -> datetime:
        wait_s = self._poll_s if kept is not None else barrier.LOOK_AGAIN.total_seconds()
        if kept is not None and (step.verb != "wait" or _needs_a_moment(look.sight.pull, kept.head)):
            wait_s = min(SOON_S, self._poll_s)
        again = now + timedelta(seconds=wait_s)
        return min(again, until) if until else again


def _words(step: Step, pull: PullRequest) -> str:
    is_new = step.verb in {"open", "adopt", "push"} and step.cleared is None
    return f"pull request #{pull.number} {'is open' if is_new else f'waits: {step.reason}'}"


def _is_taken(step: Step) -> bool:
    return step.action is not None and step.action.name == "taken-over"


def _is_current(seen: Ground, step: Step, pushed: str | None) -> bool:
    """Whether what was derived is what the branch holds: else the text would speak of something else."""
    if _is_taken(step):
        return False
    return pushed is not None or (seen.branch is not None and seen.branch.current)


def _needs_a_moment(pull: PullRequest | None, head: str) -> bool:
    """Whether the forge has not caught up with a push, or still looks whether it can be merged."""
    return pull is not None and pull.state == "open" and (pull.mergeable == "unknown" or pull.head_sha != head)
