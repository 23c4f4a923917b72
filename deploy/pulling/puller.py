"""One look at a promotion's pull request: see forge and git, ask for the last word, do what follows, write it down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

from deploy import attempt, barrier
from deploy.attempt import Place
from deploy.barrier import Answer
from deploy.forges import AuthFailed, Forge, NotMergeable, Race, branch_of, decide, open_forge
from deploy.outcomes import Ending
from deploy.pulling import acting, ground, saving, telling
from deploy.pulling.ground import Asker, Ground
from deploy.pulling.kept import Kept, Memory
from deploy.pulling.looking import Look, Outcome, Task, Unjudged
from deploy.pulling.proposing import Proposer
from deploy.pulling.step import Step, mine_of, next_step, wish_of
from retrain.clock import Clock
from retrain.errors import NotFound, Transient
from retrain.store import Store

T = TypeVar("T")

LAG_S = 5.0
"""How long forge and git may at least say different things of a merge: a forge writes it down after it has pushed."""
WHOLE_S = 900.0
"""How long nothing new on the forge, in git or here spares a whole look."""


class Puller:
    """Looks at promotions by pull request. `owner` holds them; `poll_s`: seconds between looks at a forge."""

    def __init__(
        self, store: Store, place: Place, clock: Clock, limiter: anyio.CapacityLimiter, owner: str, poll_s: float
    ) -> None:
        self._store = store
        self._place = place
        self._clock = clock
        self._limiter = limiter
        self._owner = owner
        self._poll_s = poll_s
        self._proposer = Proposer(store, clock, poll_s)
        self._scopes: set[anyio.CancelScope] = set()

    def close(self) -> None:
        """End the calls in hand: what they did is found again."""
        for scope in list(self._scopes):
            scope.cancel()

    async def look(self, task: Task, turn: anyio.Lock) -> Outcome:
        """One look, and what follows from it. `turn` is held while git works.

        Raises:
            Race: somebody moved a branch, or the approvals; look again.
            Transient: forge or repository are away, or say no to a pull request that is open.
            Refused, ConfigError, Permanent: as `attempt.run`.
        """
        outcome: Outcome | None = None
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                async with open_forge(task.spec, self._place.vault) as forge:
                    while outcome is None:  # a merge is looked at right after it was made
                        outcome = await self._look(forge, task, turn)
            except (AuthFailed, NotFound) as error:
                if task.row.pull is None:
                    raise
                raise Transient(str(error)) from error  # a token that ran out ends no pull request
            finally:
                self._scopes.discard(scope)
        if outcome is None:
            raise Transient("the platform was stopped before the forge had answered")
        return outcome

    async def _look(self, forge: Forge, task: Task, turn: anyio.Lock) -> Outcome | None:
        target = task.target
        row, known, stamp = await self._store.read(partial(saving.gather, target=target, row=task.row))
        kept = known.kept
        branch = kept.branch if kept else branch_of(f"{row.environment}/{row.name}", row.intent_key)
        sight = await acting.see(forge, branch, target.spec.repo.branch)
        tip = await self._in_thread(partial(ground.tip, self._place, target))
        digest, now = acting.digest(sight, tip, stamp), self._clock.now()
        if kept and row.state in {"open", "awaiting"} and kept.memory.holds(digest, now, WHOLE_S):
            again = now + timedelta(seconds=self._poll_s)
            await self._store.write(partial(saving.look_later, owner=self._owner, row=row, look=again, now=now))
            return "parked"
        wish = await task.asked(task.wish)
        mine = mine_of(task.spec, target.spec.commit.email, wish, known)
        look = Look(forge, self._owner, target, task.document, task.spec, row, wish, known, mine, sight, digest)
        return await self._act(look, turn)

    async def _act(self, look: Look, turn: anyio.Lock) -> Outcome | None:
        asker = Asker(partial(self._judge, look), partial(self._may_push, look))
        at_git = partial(ground.look, self._place, look.target, look.wish, look.sight, look.mine, asker)
        async with turn:
            seen, step, pushed = await self._in_thread(at_git)
        if step.lease is not None and pushed is None:
            pushed = await self._commit_there(look, seen, step.lease)
        match step.verb:
            case "lost":
                return "lost"
            case "again":
                raise Race(step.reason)
            case "over":
                return await self._over(look, seen, step)
            case "unjudged":
                assert step.ending is not None
                return Unjudged(step.ending)
            case "missed":
                return await self._missed(look, seen, step)
            case "merge":
                return await self._merge(look, seen, step)
            case _:
                return await self._proposer.propose(look, seen, step, pushed)

    # --- from the worker thread ------------------------------------------------------------------------------------

    def _judge(self, look: Look, seen: Ground) -> Step:
        said: Answer | None = None
        if seen.derived.outcome == "commit":
            pushing = look.pushing(seen, look.row.commit_sha or "")
            ask = partial(barrier.last_word, pushing=pushing, now=self._clock.now())
            said = anyio.from_thread.run(self._store.read, ask)
        wish = wish_of(look.spec, look.wish, look.mine, look.known, seen.derived, said)
        action = decide(wish, seen.branch, look.sight.pull, seen.landed)
        return next_step(action, look.sight.pull, seen.derived, said)

    def _may_push(self, look: Look, seen: Ground, commit: str) -> bool:
        return anyio.from_thread.run(self._write_down, look, seen, commit)

    # --- what is done ----------------------------------------------------------------------------------------------

    async def _write_down(self, look: Look, seen: Ground, commit: str) -> bool:
        """Say in the store what is about to be done with that commit; False if it is not ours to do.

        Raises:
            Race: the last word is another one by now.
        """
        ask = partial(saving.write_down, pushing=look.pushing(seen, commit), now=self._clock.now())
        said = await self._store.write(ask)
        self._store.signals.notify("outbox")
        if said not in ("go", "lost"):
            raise Race(f"what decides about {look.row.id} has changed meanwhile")
        return said == "go"

    async def _commit_there(self, look: Look, seen: Ground, lease: str) -> str:
        # Its SHA is not known before. The base is: that is where the branch is after a crash between the two calls.
        if not await self._write_down(look, seen, seen.base):
            raise Race(f"{look.row.id} is not ours any more")
        whole = await self._in_thread(partial(attempt.with_provenance, self._place, look.target, seen.derived))
        branch = look.sight.branch
        return await acting.commit_there(look.forge, branch, lease, seen.base, whole.files, whole.message)

    async def _over(self, look: Look, seen: Ground, step: Step) -> Ending:
        """Keep what became of the pull request. What is still open there is closed by `tidy`."""
        ending, pull, kept = step.ending, look.sight.pull, look.known.kept
        assert ending is not None
        if pull is not None and (kept is not None or (step.action and pull.number == step.action.number)):
            shown = (kept or look.kept(pull, None, seen)).shown(pull)
            await self._store.write(partial(saving.keep, row=look.row, kept=shown, now=self._clock.now()))
        if ending.state != "committed":
            return ending
        # Where the forge names no merge, the base's tip holds it; the branch's head need not be in the base.
        held = seen.base if seen.landed == "yes" else look.row.commit_sha
        commit = ending.commit or held or (kept.head if kept else None)
        return replace(ending, commit=commit, base=seen.parent or (kept.base if kept else look.row.base_sha))

    async def _merge(self, look: Look, seen: Ground, step: Step) -> Outcome | None:
        """Merge; None where it is to be looked at."""
        action = step.action
        assert action is not None
        assert action.number is not None
        assert action.head_sha is not None
        if not await self._write_down(look, seen, action.head_sha):
            return "lost"
        text = telling.text(look.target, look.wish, seen.derived)
        try:
            await acting.merge(look.forge, look.spec, action.number, action.head_sha, text)
        except NotMergeable as error:
            # By a rule that the forge does not show: no digest, for nothing may be seen of its end either.
            waits = replace(step, verb="wait", reason=str(error))
            return await self._proposer.propose(replace(look, digest=""), seen, waits, None)
        return None

    async def _missed(self, look: Look, seen: Ground, step: Step) -> Outcome:
        """Forge and git say different things of a merge: one of them lags, and after a while it does no more."""
        pull = look.sight.pull
        assert pull is not None
        kept = look.known.kept or look.kept(pull, None, seen)
        now, since = self._clock.now(), kept.memory.missed
        if since and (now - datetime.fromisoformat(since)).total_seconds() > max(LAG_S, 2 * self._poll_s):
            if pull.state == "open":
                await acting.close(look.forge, pull.number, telling.closing("committed", step.reason))
            return await self._over(look, seen, step)
        missed: Kept = replace(kept.shown(pull), memory=Memory(missed=since or now.isoformat()))
        return await self._proposer.rest(look, seen, step, missed, step.reason)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
