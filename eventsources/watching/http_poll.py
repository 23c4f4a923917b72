"""The httpPoll source (retrain.dev/v1): a document on the web is asked for every so often, each change is an event.

The server is asked whether it has changed (ETag, Last-Modified); what counts is the content, by its digest. With `each`
the document is a list, and each item that is new or has changed is an event. With `body: false` nothing is fetched:
what the headers say of a big file tells that it is another.

What was told is remembered in the store, with a number that grows with each change: a content that comes back after
another is a change, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import anyio
import orjson
from anyio.abc import TaskStatus

from eventsources.bodies import body_of
from eventsources.duration import seconds
from eventsources.fields import Path, check_existing
from eventsources.port import SourceContext, SourceState
from eventsources.trying import keep_trying
from eventsources.watching.asking import Answer, Asked, Asker, asking, check_asked
from retrain.errors import ConfigError, Permanent
from retrain.events import Event, JsonValue
from retrain.expressions.paths import compile_path
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

EVERY = "1m"
MAX_BODY = 16 * 1024 * 1024
PAGE = 1000
DOCUMENT = "/document"


class Each(Shape):
    """The items of a list, one event for each. `path` leads to the list in the document, empty where it is the list;
    `id` leads to what names an item in it. Both are gjson paths. Empty `id`: the item itself names it."""

    path: str = ""
    id: str = ""


class HttpPoll(Asked):
    """A document. `json_body`: it must be JSON. `max_body_size` in bytes.

    `existing`: emit or skip what is there at the very first look.
    """

    body: bool = True
    json_body: bool | None = None
    each: Each | None = None
    max_body_size: int = 0
    existing: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of a document or an item: how often it has changed, and its newest version."""

    number: int = 0
    version: str = ""


def check(path: Path, spec: HttpPoll, ours: bool) -> Iterator[Problem]:
    """What is wrong with one httpPoll source."""
    yield from check_asked(path, spec, ours=ours)
    yield from check_existing((*path, "existing"), spec.existing)
    if not spec.body and (spec.each is not None or spec.json_body):
        yield Problem((*path, "body"), "wrong-value", "each and jsonBody want the body, and body: false fetches none")
    if spec.max_body_size < 0:
        yield Problem((*path, "maxBodySize"), "wrong-value", "maxBodySize must not be negative; 0 is the default")
    for name in ("path", "id") if spec.each is not None else ():
        if text := getattr(spec.each, name):
            try:
                compile_path(text)
            except ConfigError as error:
                yield Problem((*path, "each", name), "wrong-value", str(error))


class HttpPollSource:
    """One entry of `spec.httpPoll`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, HttpPoll)
        self._spec = spec
        self._context = context
        self._every_s = seconds(spec.every or EVERY)
        self._most = spec.max_body_size or MAX_BODY
        what = f"{spec.url}\n{spec.each!r}\n{spec.body}"
        self._scope = sha256(what.encode()).hexdigest()[:16]

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._follow)

    async def _follow(self) -> None:
        async with asking(self._spec, self._context) as asker:
            while True:
                await self._look(asker)
                self._context.status.listening()
                await anyio.sleep(self._every_s)

    async def _look(self, asker: Asker) -> None:
        """Ask once, and tell what has changed. The answer's validators are kept when all of it is safe."""
        kept = (await self._context.checkpoints.get(self._scope, [DOCUMENT])).get(DOCUMENT)
        before: Mapping[str, Any] = kept if isinstance(kept, dict) else {}
        method = "GET" if self._spec.body else "HEAD"
        most = self._most if self._spec.body else 0
        answer = await asker.ask(method, self._spec.url, most, _conditions(before))
        if answer.status == 304:
            return
        silent = not before and self._spec.existing == "skip"
        known = Known(int(before.get("number", 0)), str(before.get("version", "")))
        version = self._version(answer)
        if version != known.version:
            known = Known(known.number + 1, version)
            try:
                await self._tell(answer, known, silent=silent)
            except Permanent as error:
                await self._context.bury(f"{known.number}/{known.version}", answer.body, str(error))
        await self._context.checkpoints.save(self._scope, {DOCUMENT: {**_validators(answer), **_kept(known)}})

    def _version(self, answer: Answer) -> str:
        if self._spec.body:
            return sha256(answer.body).hexdigest()
        said = "\n".join(answer.headers.get(name, "") for name in ("etag", "last-modified", "content-length"))
        if not (answer.headers.get("etag") or answer.headers.get("last-modified")):
            raise ConfigError("the server sends neither ETag nor Last-Modified; say body: true to compare the content")
        return sha256(said.encode()).hexdigest()

    async def _tell(self, answer: Answer, known: Known, *, silent: bool) -> None:
        if self._spec.each is not None:
            await self._tell_items(answer, self._spec.each, silent=silent)
            return
        data = self._data(answer)
        if self._spec.body:
            data |= {"digest": f"sha256:{known.version}", "size": len(answer.body)}
            data |= body_of(answer.body, self._spec.json_body, ours=True)
        if not silent:
            await self._context.deliver([self._context.event(f"{self._scope}/{known.number}/{known.version}", data)])

    def _data(self, answer: Answer) -> dict[str, JsonValue]:
        size = answer.headers.get("content-length", "")
        return {
            "url": self._spec.url,
            "etag": answer.headers.get("etag"),
            "lastModified": answer.headers.get("last-modified"),
            "contentType": answer.headers.get("content-type"),
            "size": int(size) if size.isdigit() else None,
        }

    # --- the items of a list -----------------------------------------------------------------------------------------

    async def _tell_items(self, answer: Answer, each: Each, *, silent: bool) -> None:
        items = _items(answer.body, each)
        names = list(items)
        for start in range(0, len(names), PAGE):
            await self._tell_page({name: items[name] for name in names[start : start + PAGE]}, silent=silent)
        await self._forget_all_but(items)

    async def _tell_page(self, items: Mapping[str, JsonValue], *, silent: bool) -> None:
        known = await self._context.checkpoints.get(self._scope, items)
        events: list[Event] = []
        changed: dict[str, JsonValue] = {}
        for name, item in items.items():
            before = known.get(name)
            number, version = (before["number"], before["version"]) if isinstance(before, dict) else (0, "")
            digest = _digest(item)
            if digest != version:
                now = Known(int(str(number)) + 1, digest)
                changed[name] = _kept(now)
                data: dict[str, JsonValue] = {"url": self._spec.url, "item": item}
                events.append(self._context.event(f"{name}/{now.number}/{now.version}", data))
        if not silent:
            await self._context.deliver(events)
        if changed:
            await self._context.checkpoints.save(self._scope, changed)

    async def _forget_all_but(self, items: Mapping[str, JsonValue]) -> None:
        """What has left the list is of no use any more."""
        after = ""
        while known := await self._context.checkpoints.after(self._scope, after, PAGE):
            after = max(known)
            gone = [name for name in known if name not in items and name != DOCUMENT]
            if gone:
                await self._context.checkpoints.forget(self._scope, gone)


def _items(raw: bytes, each: Each) -> dict[str, JsonValue]:
    """The items of a list by the digests of their ids, in its order; the last one of those that have the same id.

    Raises:
        Permanent: it is no JSON, there is no list, or an item has no id.
    """
    try:
        listed: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Permanent(f"the document is not JSON, and each wants a list: {error}") from error
    if each.path:
        found = compile_path(each.path).get(raw.decode())
        listed = found.value() if found is not None else None
    if not isinstance(listed, list):
        raise Permanent(f"the document has no list at {each.path or 'its top'!r}")
    items: dict[str, JsonValue] = {}
    name_of = compile_path(each.id) if each.id else None
    for number, item in enumerate(listed):
        name: JsonValue = item
        if name_of is not None:
            named = name_of.get(orjson.dumps(item).decode())
            if named is None:
                raise Permanent(f"item {number} of the list has nothing at {each.id!r}")
            name = named.value()
        items[_digest(name)] = item
    return items


def _digest(value: JsonValue) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def _conditions(before: Mapping[str, Any]) -> dict[str, str]:
    names = {"etag": "If-None-Match", "lastModified": "If-Modified-Since"}
    return {header: str(before[name]) for name, header in names.items() if before.get(name)}


def _validators(answer: Answer) -> dict[str, JsonValue]:
    return {"etag": answer.headers.get("etag"), "lastModified": answer.headers.get("last-modified")}


def _kept(known: Known) -> dict[str, JsonValue]:
    return {"number": known.number, "version": known.version}
