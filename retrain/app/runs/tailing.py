"""One container's log while it is followed: opened, gone on with after cuts, and read once more at its end."""

from __future__ import annotations

from collections import deque
from datetime import datetime

from pipelines.kubernetes.pod_logs import Reader, asked, state_of
from pipelines.local.logs import LogLine
from retrain.app.runs.cluster_pods import Step
from retrain.errors import Transient
from retrain.kube import Cluster, Stream

EXECUTORS_LINES = 8
"""More lines are asked for than somebody wants: the executor's own may be among the last."""


class Tail:
    """What comes of a log. `look` gives what is new, and never waits for more than an answer of the server."""

    def __init__(  # noqa: PLR0913 - all that is known of one log
        self,
        cluster: Cluster,
        path: str,
        step: Step,
        container: str,
        reader: Reader,
        since: datetime | None,
        tail: int | None,
    ) -> None:
        self.step, self.container, self.reader = step, container, reader
        self.done = False
        self.from_start = tail is None and since is None and not reader.place.number
        self.complete = False
        """The server has given all there was, though the pod may be gone now."""
        self._cluster, self._path, self._since, self._tail = cluster, path, since, tail
        self._stream: Stream | None = None
        self._terminated = False

    @property
    def listening(self) -> bool:
        """Whether it holds a connection."""
        return self._stream is not None

    async def look(self) -> list[LogLine]:
        """What has come since the last look.

        Raises:
            NotFound: its pod is gone.
            Transient: the server is away, or the connection was cut; the next look goes on.
            ConfigError: it may not be read.
        """
        if self._stream is None and not await self._open():
            return []
        assert self._stream is not None
        if self._tail is not None:
            return await self._last_lines(self._stream, self._tail)
        try:
            found = list(self.reader.feed(self._stream.read()))
        except Transient:
            await self.close()
            raise
        if self._stream.ended:
            await self.close()
            self.complete = True
            if self._terminated:
                self.done = True
                found += self.reader.feed(b"", last=True)
        return found

    async def close(self) -> None:
        """Let the connection go."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _open(self) -> bool:
        """Ask for the log from where it was read to; False while the container waits to be started."""
        pod = await self._cluster.get(self._path.removesuffix("/log"))
        state = state_of(pod, self.container)
        if state == "waiting":
            return False
        # Of one that is over the server gives all there is, and that is the end.
        self._terminated = state == "terminated"
        self.complete = False
        self.reader.again()
        follow = not self._terminated and self._tail is None
        words = asked(self.container, self.reader.place, follow=follow, since=self._since)
        if self._tail is not None:
            words["tailLines"] = str(self._tail + EXECUTORS_LINES)
        self._stream = await self._cluster.stream(self._path, words)
        return True

    async def _last_lines(self, stream: Stream, count: int) -> list[LogLine]:
        """The last lines of what is there; from there on it is followed."""
        kept: deque[LogLine] = deque(maxlen=count)
        try:
            while part := await stream.wait():
                kept.extend(self.reader.feed(part))
        finally:
            await self.close()
        self._tail = None
        self.reader.begin_here()
        self.done = self.complete = self._terminated
        if self._terminated:
            kept.extend(self.reader.feed(b"", last=True))
        return list(kept)
