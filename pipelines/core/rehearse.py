"""A workflow played to its end with given answers instead of processes: for tests, and to see what it would do.

Locks and memos are kept in memory, as for a run that is alone. A daemon is ready at once. What waits for a person waits
until `person` says something; without one the play ends there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pipelines.core.engine import Decision, Run, step
from pipelines.core.happenings import (
    Happening,
    LockNews,
    LockWish,
    MemoNews,
    MemoWish,
    Ready,
    Task,
    TaskResult,
    Tick,
)
from pipelines.core.nodes import Phase

Answer = Callable[[Task], TaskResult | Sequence[Happening]]
"""What becomes of a task: its result, or all that is heard of it (the last is the result)."""
Person = Callable[[Run], Sequence[Happening]]
"""What a person does when nothing moves any more; nothing ends the play."""
STEP = timedelta(seconds=1)
HOST = "127.0.0.1"


def succeed(task: Task) -> TaskResult:
    return TaskResult(task.node_id, Phase.Succeeded, exit_code=0)


def fail(task: Task, exit_code: int = 1) -> TaskResult:
    return TaskResult(task.node_id, Phase.Failed, exit_code=exit_code, message=f"main: Error (exit code {exit_code})")


@dataclass(slots=True)
class Locks:
    """Who holds and who waits, by the name of the lock; `taken` are held by others, and never given back."""

    taken: Mapping[str, int] = field(default_factory=lambda: dict[str, int]())
    holders: dict[str, list[str]] = field(default_factory=lambda: dict[str, list[str]]())
    waiting: dict[str, LockWish] = field(default_factory=lambda: dict[str, LockWish]())

    def ask(self, wish: LockWish) -> LockNews:
        for lock in wish.locks:
            held = self.holders.setdefault(lock.name, [])
            free = lock.limit - len(held) - self.taken.get(lock.name, 0)
            if free <= 0 and wish.holder not in held:
                self.waiting[wish.holder] = wish
                return LockNews(
                    wish.holder, granted=False, waiting_for=lock.name, status=f"{max(free, 0)}/{lock.limit}"
                )
        for lock in wish.locks:
            if wish.holder not in self.holders[lock.name]:
                self.holders[lock.name].append(wish.holder)
        self.waiting.pop(wish.holder, None)
        return LockNews(wish.holder, granted=True)

    def give_back(self, holder: str) -> list[LockNews]:
        self.waiting.pop(holder, None)
        for held in self.holders.values():
            if holder in held:
                held.remove(holder)
        return [news for wish in list(self.waiting.values()) if (news := self.ask(wish)).granted]


@dataclass(slots=True)
class World:
    """What there is around a run."""

    answer: Answer = succeed
    person: Person | None = None
    locks: Locks = field(default_factory=Locks)
    memos: dict[tuple[str, str], Mapping[str, Any]] = field(
        default_factory=lambda: dict[tuple[str, str], Mapping[str, Any]]()
    )
    tasks: deque[Task] = field(default_factory=lambda: deque[Task]())
    stopped: set[str] = field(default_factory=lambda: set[str]())

    def take(self, decision: Decision) -> list[Happening]:
        """Do what a decision asks for; returns what is heard at once."""
        self.stopped.update(decision.stop)
        heard: list[Happening] = []
        for task in decision.start:
            self.stopped.discard(task.node_id)
            if task.template.get("daemon"):
                heard.append(Ready(task.node_id, HOST))
            else:
                self.tasks.append(task)
        for memo in decision.remember:
            self.memos[memo.cache, memo.key] = memo.outputs
        for holder in decision.release:
            heard += self.locks.give_back(holder)
        heard += [self.locks.ask(wish) for wish in decision.acquire]
        heard += [self._known(wish) for wish in decision.look_up]
        return heard

    def _known(self, wish: MemoWish) -> MemoNews:
        return MemoNews(wish.node_id, self.memos.get((wish.cache, wish.key)))

    def next_task(self) -> Task | None:
        while self.tasks:
            task = self.tasks.popleft()
            if task.node_id not in self.stopped:
                return task
        return None


def rehearse(
    run: Run, answer: Answer = succeed, *, now: datetime, after: Callable[[Decision], Run] | None = None,
    person: Person | None = None, world: World | None = None,
) -> Decision:  # fmt: skip
    """Step a run until it ends, or nothing can happen any more. Each task takes a second, one after the other.

    `after` may put another run in the place of a decision's: a restored one, to see that it is the same.
    """
    world = world or World(answer, person)
    happened: Sequence[Happening] = (Tick(),)
    while True:
        decision = step(run, happened, now)
        run = after(decision) if after else decision.run
        happened = world.take(decision)
        if run.ended:
            return replace(decision, run=run)
        if happened:
            continue
        now, happened = _next(world, run, decision, now)
        if not happened:
            return decision


def _next(world: World, run: Run, decision: Decision, now: datetime) -> tuple[datetime, Sequence[Happening]]:
    task = world.next_task()
    if task is not None:
        now += STEP
        answer = world.answer(task)
        if isinstance(answer, TaskResult):
            return now, [replace(answer, finished_at=answer.finished_at or now)]
        return now, answer
    if decision.wake_at is not None:
        return max(now, decision.wake_at), (Tick(),)
    return now + STEP, (world.person(run) if world.person else ())
