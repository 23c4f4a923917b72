"""Runs a source on Redis' streams: messages of a group, safe on the bus, then acknowledged.

One replica reads at a time, under one consumer's name, so that what was in hand when it ended is its own at its next
start. What other consumers of the group have left behind is claimed when nobody has touched it for CLAIM_S.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskStatus

from eventsources.port import SourceContext, SourceState
from eventsources.queues.redis_stream import GROUP, RedisStream
from eventsources.trying import keep_trying
from retrain.errors import Transient
from retrain.events import JsonValue
from retrain.log import get_logger
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.redis_client import Link

log = get_logger()

READ = 500
BLOCK_S = 5.0
CLAIM_S = 60
LOOK_S = 10.0
"""Seconds between two looks at what others have left behind, and at how much waits."""

_ID = re.compile(r"(\d+)-(\d+)")
Fields = list[bytes] | None
"""Names and values in turn; None where the message was removed before it was read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a stream."""

    stream: str
    id: str
    fields: Fields


class RedisStreamSource:
    """One entry of `spec.redisStream`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, RedisStream)
        self._spec = spec
        self._context = context
        self._status = context.status
        self._group = spec.consumer_group or GROUP
        self._consumer = f"retrain-{context.source}-{name}"
        self._read = spec.max_msg_count_per_read or READ
        self._from_start = (spec.existing or ("emit" if context.ours else "skip")) == "emit"
        self._told: dict[str, str] = {}  # by stream: the newest message that is safe
        self._gone = 0

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        """Connect and read until the connection breaks."""
        from eventsources.queues import redis_client

        spec = self._spec
        wanted = redis_client.Wanted(spec.host_address, spec.db, spec.username, spec.password, spec.tls)
        async with redis_client.dial(wanted.read(self._context)) as link:
            for stream in spec.streams:
                await self._make_group(link, stream)
            await self._read_own(link)
            self._status.listening(self._note())
            await self._read_new(link)

    async def _read_new(self, link: Link) -> None:
        looked = -LOOK_S
        while True:
            if anyio.current_time() - looked >= LOOK_S:
                await self._claim(link)
                self._status.lag(await self._lag(link))
                looked = anyio.current_time()
            answer = await self._ask_group(link, ">", int(BLOCK_S * 1000))
            if answer:
                await self._take(link, entries_of(answer))

    async def _ask_group(self, link: Link, after: str, block_ms: int) -> Any:
        """What XREADGROUP answers; where the group is gone it is made again, and None is the answer."""
        from redis.exceptions import ResponseError

        streams = self._spec.streams
        words = ["XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", self._read]
        words += ["BLOCK", block_ms] if block_ms else []
        try:
            return await link.ask(
                *words, "STREAMS", *streams, *([after] * len(streams)), within_s=15.0 + block_ms / 1000
            )
        except ResponseError as error:
            # A stream that is removed while it is read is told by UNBLOCKED before Redis 7.
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
        for stream in streams:
            await self._make_group(link, stream)
        return None

    # --- groups --------------------------------------------------------------------------------------------------

    async def _make_group(self, link: Link, stream: str) -> None:
        """The group of a stream, and the stream: made where they are not there.

        A group that was there and is not any more is made from where it was; it tells of everything that is left if
        nobody knows where that was. What was told before is the same event, and comes once.
        """
        from redis.exceptions import ResponseError

        known = await self._context.checkpoints.get(self._scope, [stream])
        start = "0" if stream in known else ("0" if self._from_start else "$")
        if (told := self._told.get(stream)) is not None and await self._reaches(link, stream, told):
            start = told
        try:
            await link.ask("XGROUP", "CREATE", stream, self._group, start, "MKSTREAM")
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        else:
            log.info("redis.group_made", source=self._status.name, stream=stream, group=self._group, start=start)
        if stream not in known:
            await self._context.checkpoints.save(self._scope, {stream: True})

    async def _reaches(self, link: Link, stream: str, told: str) -> bool:
        """Whether a stream is still the one that had this message: a stream that is made again counts anew."""
        if not await link.ask("EXISTS", stream):
            return False
        answer: list[Any] = await link.ask("XINFO", "STREAM", stream)
        said = dict(zip(answer[::2], answer[1::2], strict=True))
        return _number(said.get(b"last-generated-id", b"0-0").decode()) >= _number(told)

    # --- messages ------------------------------------------------------------------------------------------------

    async def _read_own(self, link: Link) -> None:
        """What was in hand when this source ended the last time."""
        while True:
            answer = await self._ask_group(link, "0", 0)
            entries = entries_of(answer) if answer else []
            if not entries:
                return
            await self._take(link, entries)

    async def _claim(self, link: Link) -> None:
        """What other consumers of the group have left behind."""
        for stream in self._spec.streams:
            cursor = b"0-0"
            while True:
                words = ("XAUTOCLAIM", stream, self._group, self._consumer, CLAIM_S * 1000, cursor, "COUNT", self._read)
                answer = await link.ask(*words)
                cursor = answer[0]
                if entries := _entries(stream, answer[1]):
                    await self._take(link, entries)
                if cursor == b"0-0":
                    break

    async def _take(self, link: Link, entries: Sequence[Entry]) -> None:
        """Make them safe, then acknowledge them."""
        there = [one for one in entries if one.fields is not None]
        time = self._context.ours
        await self._context.deliver(
            [
                self._context.event(
                    f"{one.stream}/{one.id}",
                    {"stream": one.stream, "message_id": one.id} | values_of(one.fields or [], ours=time),
                    time=time_of(one.id) if time else None,
                )
                for one in there
            ]
        )
        with anyio.CancelScope(shield=True):
            for stream in {one.stream: None for one in entries}:
                ids = [one.id for one in entries if one.stream == stream]
                await link.ask("XACK", stream, self._group, *ids)
                self._told[stream] = max(ids[-1], self._told.get(stream, "0-0"), key=_number)
        if len(there) < len(entries):
            self._gone += len(entries) - len(there)
            log.warning("redis.messages_gone", source=self._status.name, messages=self._gone)
            self._status.listening(self._note())

    def _note(self) -> str | None:
        return f"{self._gone} messages were removed from their streams before they were read" if self._gone else None

    async def _lag(self, link: Link) -> int | None:
        """How many messages wait for the group; None where the server cannot tell (before Redis 7)."""
        total = 0
        for stream in self._spec.streams:
            groups: list[list[Any]] = await link.ask("XINFO", "GROUPS", stream)
            for group in (dict(zip(one[::2], one[1::2], strict=True)) for one in groups):
                if group[b"name"] == self._group.encode():
                    lag = group.get(b"lag")
                    if lag is None:
                        return None
                    total += lag + group[b"pending"]
        return total

    @property
    def _scope(self) -> str:
        return f"{self._spec.host_address}/{self._spec.db}/{self._group}"


def entries_of(answer: Any) -> list[Entry]:
    """The messages of an answer to XREADGROUP: [[stream, [[id, [name, value, ...]], ...]], ...]."""
    return [entry for stream, entries in answer for entry in _entries(stream.decode(), entries)]


def _entries(stream: str, entries: Any) -> list[Entry]:
    # XAUTOCLAIM of Redis 6.2 gives nil for a message that is gone.
    return [Entry(stream, one[0].decode(), one[1]) for one in entries if one is not None]


def values_of(fields: list[bytes], *, ours: bool) -> dict[str, JsonValue]:
    """The values of a message: text. Bytes that are none are base64 in ours, with their names in `valuesEncoding`."""
    values: dict[str, JsonValue] = {}
    encoded: dict[str, JsonValue] = {}
    for raw_name, raw in zip(fields[::2], fields[1::2], strict=True):
        name = raw_name.decode(errors="replace")
        try:
            values[name] = raw.decode()
        except UnicodeDecodeError:
            values[name] = b64encode(raw).decode() if ours else raw.decode(errors="replace")
            encoded |= {name: "base64"} if ours else {}
    data: dict[str, JsonValue] = {"values": values}
    return data | ({"valuesEncoding": encoded} if encoded else {})


def time_of(message_id: str) -> datetime | None:
    """When a message was added, if Redis has made its id; None where its writer has."""
    milliseconds = _number(message_id)[0]
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if 10**11 < milliseconds < 10**13 else None


def _number(message_id: str) -> tuple[int, int]:
    found = _ID.fullmatch(message_id)
    if found is None:
        raise Transient(f"redis gave {message_id[:40]!r} as the id of a message")
    return int(found[1]), int(found[2])
