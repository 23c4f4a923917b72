"""The logs of a run on a cluster: read from the API server, of many pods at once, through whatever happens to it.

One task listens to all of them: what has come of each is looked at in turn. A log that is cut is gone on with where it
was; one whose pod is gone is read from where it was archived, or it is said that it is not to be had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import islice

import anyio
import anyio.to_thread

from pipelines.kubernetes.pod_logs import MANY, Place, Reader, asked, containers, state_of
from pipelines.local.logs import LogLine
from retrain.app.runs.archived_logs import Archived
from retrain.app.runs.cluster_pods import Pods, Step, nodes_elsewhere, reload
from retrain.app.runs.log_wish import AT_ONCE, LogPlace, Logs, LogWish, StepLine, compile_grep, log_name
from retrain.app.runs.tailing import EXECUTORS_LINES, Tail
from retrain.errors import NotFound, Refused, RetrainError, Transient
from retrain.kube import path_of
from retrain.store.runs import OPEN, RunRow

LOOK_S = 0.2
"""Seconds between two looks at what has come."""
STREAMS = 200
"""Logs that are listened to at once for one reader; the others wait for their turn."""
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 6, 0.5, 10.0

Keep = Callable[[str], bool]


async def cluster_log_lines(place: LogPlace, run: RunRow, wish: LogWish) -> Logs:
    """The lines, in batches: step after step in the order in which they began; those to come as they come.

    Raises:
        NotFound: there is no such step or container.
        ConfigError: the pattern or the selector cannot be used, or the API server does not let us read logs.
        Transient: it is away.
        Refused: no cluster is reached from here.
    """
    keep = compile_grep(wish.grep)
    if place.cluster is None:
        raise Refused(f"{run.name} is on a cluster, and this process of the platform reaches none")
    reading = _Reading(Pods(place, await place.cluster(), wish), run, wish, keep)
    many = await reading.check()
    return Logs(many, reading.follow() if wish.follow else reading.read())


class _Reading:
    """One reader's view of a run's logs."""

    def __init__(self, pods: Pods, run: RunRow, wish: LogWish, keep: Keep) -> None:
        self._pods, self._run, self._wish, self._keep = pods, run, wish, keep
        self._tails: dict[str, Tail] = {}
        self._looked: set[str] = set()
        self._tries, self._not_before = 0, 0.0
        self._listening = 0

    async def check(self) -> bool:
        """Look once before the answer begins, so that what is wrong is said as an error; whether several may speak."""
        wish, run = self._wish, self._run
        steps = [step for step in await self._pods.steps(run) if step.begun]
        one = await self._names(steps[0]) if steps else []
        if not steps and not wish.follow and nodes_elsewhere(run):
            raise NotFound(
                f"{run.name} has no pod any more, and where logs were archived is not known: the controller keeps "
                "the nodes of this run in its database"
            )
        if steps and not one and wish.container is not None:
            await self._check_container(steps[1:])
        more_may_come = wish.follow and wish.node is None and run.phase in OPEN
        return len(steps) > 1 or len(one) > 1 or more_may_come

    async def _names(self, step: Step) -> list[str]:
        """The containers of a step; its log is asked for, which may not be allowed."""
        pod = await self._pods.pod(self._run, step.pod)
        if pod is None:
            return [container for container, _ in self._pods.archived(self._run, step)]
        names = containers(pod, self._wish.container)
        if names and state_of(pod, names[0]) != "waiting":
            words = {"container": names[0], "tailLines": "1", "limitBytes": "1"}
            await self._pods.cluster.text(self._path(step), words)
        return names

    async def _check_container(self, steps: Sequence[Step]) -> None:
        if self._wish.follow:
            return
        for step in steps:
            if await self._names(step):
                return
        raise NotFound(f"{self._run.name} has no container {self._wish.container!r} that wrote a log")

    # --- what is there now --------------------------------------------------------------------------------------------

    async def read(self) -> AsyncGenerator[list[StepLine]]:
        """Step after step."""
        for step in await self._pods.steps(self._run):
            if step.begun:
                async with aclosing(self._step(step)) as batches:
                    async for batch in batches:
                        yield batch

    async def _step(self, step: Step) -> AsyncGenerator[list[StepLine]]:
        try:
            pod = await self._pods.pod(self._run, step.pod)
            names = containers(pod, self._wish.container) if pod is not None else []
            if pod is None:
                async with aclosing(self._without_pod(step)) as batches:
                    async for batch in batches:
                        yield batch
            for container in names:
                if pod is not None and state_of(pod, container) != "waiting":
                    async with aclosing(self._container(step, container)) as batches:
                        async for batch in batches:
                            yield batch
        except RetrainError as error:
            yield [step.notice(f"the log cannot be read: {error}")]

    async def _container(self, step: Step, container: str) -> AsyncGenerator[list[StepLine]]:
        reader = Reader(self._place(step, container))
        tail = self._wish.tail_of_new if not reader.place.number else None
        last: deque[LogLine] | None = None if tail is None else deque(maxlen=tail)
        for attempt in range(TRIES):
            try:
                async with aclosing(self._answer(step, container, reader, tail)) as answer:
                    async for found in answer:
                        if last is not None:
                            last.extend(found)
                        elif batch := self._kept(step, container, found):
                            yield batch
                break
            except Transient:
                if attempt == TRIES - 1:
                    raise
                if last is not None:
                    last.clear()
                    reader = Reader()
                await anyio.sleep(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**attempt))
        if last and (batch := self._kept(step, container, last)):
            yield batch

    async def _answer(
        self, step: Step, container: str, reader: Reader, tail: int | None
    ) -> AsyncGenerator[list[LogLine]]:
        """One answer of the server, to its end."""
        reader.again()
        words = asked(container, reader.place, follow=False, since=self._wish.since)
        if tail is not None:
            words["tailLines"] = str(tail + EXECUTORS_LINES)
        stream = await self._pods.cluster.stream(self._path(step), words)
        try:
            while part := await stream.wait():
                yield self._since(reader.feed(part))
            yield self._since(reader.feed(b"", last=True))
        finally:
            await stream.close()

    async def _without_pod(self, step: Step) -> AsyncGenerator[list[StepLine]]:
        """Of a step whose pod is gone: what was archived, else that there is nothing."""
        archived = list(self._pods.archived(self._run, step))
        for container, log in archived:
            # A place in a pod's log is none in an archived one; who has read that has it to its end, or nearly.
            start = self._wish.places.get(log_name(step.node, container))
            if start is not None and start >= MANY * MANY:
                continue
            async with aclosing(self._archived(step, container, log, start or 0)) as batches:
                async for batch in batches:
                    yield batch
        if not archived and self._wish.container in (None, "main"):
            yield [step.notice(gone(step))]

    async def _archived(self, step: Step, container: str, log: Archived, start: int) -> AsyncGenerator[list[StepLine]]:
        tail = self._wish.tail_of_new if not start else None
        lines = log.lines(self._wish.since, tail, start)
        while found := await anyio.to_thread.run_sync(lambda: list(islice(lines, AT_ONCE))):
            if batch := self._kept(step, container, found):
                yield batch

    # --- what is still to come ----------------------------------------------------------------------------------------

    async def follow(self) -> AsyncGenerator[list[StepLine]]:
        """Line by line as they are written, until the run is over."""
        try:
            while True:
                # In this order: what a step wrote before its run was over is there when the run is.
                row = await reload(self._pods.place, self._run)
                waits = await self._meet(row or self._run) if self._may_ask() else True
                for tail in list(self._tails.values()):
                    async with aclosing(self._news(tail)) as batches:
                        async for batch in batches:
                            yield batch
                over = row is None or row.phase not in OPEN
                if over and not waits and all(tail.done for tail in self._tails.values()):
                    return
                yield []  # whoever sends this on can see that it is still wanted
                await anyio.sleep(LOOK_S)
        finally:
            with anyio.CancelScope(shield=True):
                for tail in self._tails.values():
                    await tail.close()

    async def _meet(self, row: RunRow) -> bool:
        """Listen to the steps that have begun since; whether there are some yet to be listened to."""
        try:
            steps = [step for step in await self._pods.steps(row) if step.begun]
            for step in steps:
                if step.pod not in self._looked:
                    await self._begin(row, step)
            self._tries = 0
            return any(step.pod not in self._looked for step in steps)
        except Transient:
            self._wait_a_while()
            return True

    async def _begin(self, row: RunRow, step: Step) -> None:
        pod = await self._pods.pod(row, step.pod)
        if pod is None and not step.over and row.phase in OPEN:
            return  # it is just being made
        self._looked.add(step.pod)
        names = containers(pod, self._wish.container) if pod is not None else [""]
        for container in names:
            place = self._place(step, container)
            tail = self._wish.tail_of_new if not place.number else None
            self._tails[f"{step.pod}/{container}"] = Tail(
                self._pods.cluster, self._path(step), step, container, Reader(place), self._wish.since, tail
            )

    async def _news(self, tail: Tail) -> AsyncGenerator[list[StepLine]]:
        if tail.done:
            return
        if not tail.container:
            tail.done = True
            async with aclosing(self._without_pod(tail.step)) as batches:
                async for batch in batches:
                    yield batch
            return
        if not tail.listening and (not self._may_ask() or self._listening >= STREAMS):
            return
        try:
            found = await self._look(tail)
            if batch := self._kept(tail.step, tail.container, self._since(found)):
                yield batch
        except Transient:
            self._wait_a_while()
        except NotFound:
            tail.done = True
            async with aclosing(self._rest(tail)) as batches:
                async for batch in batches:
                    yield batch
        except RetrainError as error:
            tail.done = True
            yield [tail.step.notice(f"the log cannot be read: {error}")]

    async def _look(self, tail: Tail) -> list[LogLine]:
        before = tail.listening
        try:
            return await tail.look()
        finally:
            self._listening += tail.listening - before

    async def _rest(self, tail: Tail) -> AsyncGenerator[list[StepLine]]:
        """Of a log whose pod went while it was read: what was archived of the rest."""
        if batch := self._kept(tail.step, tail.container, tail.reader.feed(b"", last=True)):
            yield batch
        row = await reload(self._pods.place, self._run) or self._run
        steps = {step.pod: step for step in await self._pods.steps(row)}
        step = steps.get(tail.step.pod, tail.step)
        archived = dict(self._pods.archived(row, step))
        if tail.container in archived and tail.from_start:
            log = archived[tail.container]
            async with aclosing(self._archived(step, tail.container, log, tail.reader.told)) as batches:
                async for batch in batches:
                    yield batch
        elif not tail.complete:
            yield [step.notice(gone(step))]

    def _may_ask(self) -> bool:
        return anyio.current_time() >= self._not_before

    def _wait_a_while(self) -> None:
        """The server is away: nobody asks it for some time."""
        if self._may_ask():
            self._not_before = anyio.current_time() + min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._tries)
            self._tries += 1

    # --- of a log -----------------------------------------------------------------------------------------------------

    def _place(self, step: Step, container: str) -> Place:
        return Place.of(self._wish.places.get(log_name(step.node, container), 0))

    def _path(self, step: Step) -> str:
        return path_of("", "v1", "pods", self._run.namespace, step.pod, "log")

    def _since(self, lines: Iterable[LogLine]) -> list[LogLine]:
        since = self._wish.since
        return [line for line in lines if since is None or line.time >= since]

    def _kept(self, step: Step, container: str, lines: Iterable[LogLine]) -> list[StepLine]:
        return [StepLine(step.node, container, line) for line in lines if self._keep(line.text)]


def gone(step: Step) -> str:
    """What is said of a log that is not to be had."""
    return f"the pod {step.pod} is gone from the cluster, and its log was not archived"
