"""Runs a source over one or several buckets: each by itself, so that one that is missing holds no other up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Protocol

import anyio

from eventsources.objects.s3_records import Notice
from eventsources.objects.s3_told import Told
from eventsources.objects.s3_watch import Objects, Wanted, Watch
from eventsources.port import SourceContext, Status
from eventsources.trying import keep_trying
from retrain.errors import Transient
from retrain.manifests.argo import KeySelector

UP_S = 10.0
"""Seconds that notifications wait for a bucket that is about to be listed; then they are told to come again."""


class Reads(Protocol):
    """Who reads secrets: a source's context."""

    def read(self, selector: KeySelector | None) -> str:
        """A secret's value; empty where none is named. Raises NotFound."""
        ...


class Connection(Objects, Protocol):
    """One bucket's client, and what it does beside being listed."""

    def close(self) -> None: ...

    async def listen(self, watch: Watch) -> None:
        """Take in notifications of the bucket's own, until cancelled; returns where there are none."""
        ...

    def missed(self) -> None:
        """What it listens to has missed objects."""
        ...


Connect = Callable[[str, SourceContext], Connection]
"""(bucket, context) -> its client, with its secrets read now. Raises a RetrainError."""


class Buckets:
    """The buckets of one source. `wanted` is by bucket."""

    def __init__(self, context: SourceContext, wanted: Mapping[str, Wanted], connect: Connect) -> None:
        self._context = context
        self._wanted = wanted
        self._connect = connect
        self._told = Told()
        self._watches: dict[str, Watch] = {}
        self._parts = _Parts(context)
        self._came = anyio.Event()
        self._silence: str | None = "there are none yet"  # why the way for all buckets tells nothing; None: it does

    async def run(self) -> None:
        """Watch all buckets until cancelled."""
        async with anyio.create_task_group() as tasks:
            for bucket in self._wanted:
                tasks.start_soon(self._keep, bucket)

    async def _keep(self, bucket: str) -> None:
        context = self._context
        if len(self._wanted) > 1:
            context = replace(context, status=self._parts.add(bucket))
        await keep_trying(context, lambda: self._attempt(bucket, context))

    async def _attempt(self, bucket: str, context: SourceContext) -> None:
        with closing(self._connect(bucket, context)) as connection:
            watch = Watch(connection, self._wanted[bucket], context, self._told, connection.missed)
            if self._silence is None:
                watch.hear()
            self._watches[bucket] = watch
            self._came.set()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(connection.listen, watch)
                    await watch.run()
            finally:
                del self._watches[bucket]

    # --- notifications of all buckets, by a queue or a webhook ------------------------------------------------------

    async def take(self, notices: Sequence[Notice]) -> None:
        """Tell of what notifications say; returns when that is safe. What is of no bucket of ours is passed over.

        Raises:
            Transient: not now; they are to come again.
        """
        for bucket in dict.fromkeys(one.version.bucket for one in notices):
            if bucket in self._wanted:
                watch = await self._watch(bucket)
                await watch.take([one for one in notices if one.version.bucket == bucket])

    async def _watch(self, bucket: str) -> Watch:
        with anyio.move_on_after(UP_S):
            while bucket not in self._watches:
                if self._came.is_set():
                    self._came = anyio.Event()
                await self._came.wait()
        if bucket not in self._watches:
            raise Transient(f"bucket {bucket!r} cannot be looked at now")
        return self._watches[bucket]

    def heard(self, silence: str | None) -> None:
        """The way for all buckets tells of them now (None), or does not, for this reason."""
        self._silence = silence
        for watch in self._watches.values():
            if silence is None:
                watch.hear()
            else:
                watch.deafen(silence)


class _Parts:
    """The state of a source, made of those of its buckets: it waits while one of them does, and says for what."""

    def __init__(self, context: SourceContext) -> None:
        self.whole = context.status
        self._clock = context.clock
        self._parts: dict[str, Status] = {}

    def add(self, bucket: str) -> Status:
        self._parts[bucket] = _PartStatus(self, self.whole.kind, f"{self.whole.name}/{bucket}", self._clock)
        return self._parts[bucket]

    def show(self) -> None:
        states = {bucket: part.state() for bucket, part in self._parts.items()}
        waiting = [f"{bucket}: {one.waiting_for}" for bucket, one in states.items() if one.state == "waiting"]
        if waiting:
            self.whole.waiting("; ".join(waiting))
        elif all(one.state == "listening" for one in states.values()):
            notes = [f"{bucket}: {one.note}" for bucket, one in states.items() if one.note]
            self.whole.listening("; ".join(notes) or None)


class _PartStatus(Status):
    """Where one bucket writes how it is doing."""

    def __init__(self, parts: _Parts, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._of = parts

    def listening(self, note: str | None = None) -> None:
        super().listening(note)
        self._of.show()

    def waiting(self, reason: str) -> None:
        super().waiting(reason)
        self._of.show()

    def failed(self, reason: str | None = None) -> None:
        super().failed(reason)
        self._of.whole.failed(reason)

    def conceal(self, secret: str) -> None:
        super().conceal(secret)
        self._of.whole.conceal(secret)
