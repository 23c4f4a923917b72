"""The prometheus source (retrain.dev/v1): a PromQL query is asked every so often; what becomes true is an event.

As with Prometheus' own alerts each series that the query finds is true, such as those of `drift_score > 0.3`. It is
told when it begins to be found, not again while it lasts, and once more when it is over. An answer that does not come
is not an answer: nothing is over because a server is away.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from urllib.parse import quote

import anyio
import orjson
from anyio.abc import TaskStatus
from pydantic import Field

from eventsources.duration import seconds
from eventsources.fields import Path, check_duration
from eventsources.port import SourceContext, SourceState
from eventsources.trying import keep_trying
from eventsources.watching.asking import Asked, Asker, asking, check_asked
from eventsources.watching.edges import Edge, Sample, Series, Turn, kept, restored, settled, step
from retrain.errors import ConfigError, Transient
from retrain.events import Event, JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

EVERY = "30s"
STATES = ("firing", "resolved")
MAX_ANSWER = 64 * 1024 * 1024
PAGE = 1000


class Prometheus(Asked):
    """A query of a Prometheus server. A series fires when it was found for `for`, and is over when it was missing for
    `keep_firing_for`. `states`: which of both are events."""

    query: str = ""
    pending_for: str = Field(default="0s", alias="for")
    keep_firing_for: str = "0s"
    states: tuple[str, ...] = STATES


def check(path: Path, spec: Prometheus, ours: bool) -> Iterator[Problem]:
    """What is wrong with one prometheus source."""
    yield from check_asked(path, spec, ours=ours)
    if not spec.query.strip():
        yield Problem(path, "missing-field", "query is missing: PromQL that finds what is to be told, such as x > 0.3")
    yield from check_duration((*path, "for"), spec.pending_for)
    yield from check_duration((*path, "keepFiringFor"), spec.keep_firing_for)
    for index, state in enumerate(spec.states):
        if state not in STATES:
            yield Problem((*path, "states", index), "wrong-value", f"{state!r} is none of {', '.join(STATES)}")


class PrometheusSource:
    """One entry of `spec.prometheus`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Prometheus)
        self._spec = spec
        self._context = context
        self._every_s = seconds(spec.every or EVERY)
        self._pending = timedelta(seconds=seconds(spec.pending_for))
        self._keep = timedelta(seconds=seconds(spec.keep_firing_for))
        self._url = f"{spec.url.rstrip('/')}/api/v1/query?query={quote(spec.query)}"
        self._scope = sha256(f"{spec.url}\n{spec.query}".encode()).hexdigest()[:16]

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._follow)

    async def _follow(self) -> None:
        known = await self._known()
        async with asking(self._spec, self._context) as asker:
            while True:
                found = await self._ask(asker)
                known = await self._turn(known, found)
                # Waiting for a bus may take long; what was found meanwhile is asked for at once.
                self._context.status.listening(f"{sum(one.told for one in known.values())} firing")
                await anyio.sleep(self._every_s)

    async def _known(self) -> dict[str, Series]:
        """What the store remembers. As long as nobody looked, nothing was missing."""
        known: dict[str, Series] = {}
        after, now = "", self._context.clock.now()
        while page := await self._context.checkpoints.after(self._scope, after, PAGE):
            after = max(page)
            known |= {name: replace(restored(value), seen=now) for name, value in page.items()}
        return known

    async def _ask(self, asker: Asker) -> dict[str, Sample]:
        answer = await asker.ask("GET", self._url, MAX_ANSWER)
        try:
            body: Any = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise Transient(f"{self._spec.url} answers with something else than JSON") from error
        return samples_of(body)

    async def _turn(self, known: Mapping[str, Series], found: Mapping[str, Sample]) -> dict[str, Series]:
        """Write down what is to be told, tell it, write down that it is told."""
        turn = step(known, found, self._context.clock.now(), pending=self._pending, keep=self._keep)
        await self._save(turn)
        await self._context.deliver([self._event(edge) for edge in turn.edges if edge.status in self._spec.states])
        done = settled(turn)
        await self._save(done)
        return done.known

    async def _save(self, turn: Turn) -> None:
        if turn.changed:
            await self._context.checkpoints.save(self._scope, {name: kept(one) for name, one in turn.changed.items()})
        if turn.gone:
            await self._context.checkpoints.forget(self._scope, turn.gone)

    def _event(self, edge: Edge) -> Event:
        series = edge.series
        happened: datetime = series.ended or series.since
        data: dict[str, JsonValue] = {
            "status": edge.status,
            "labels": dict(series.labels),
            "value": series.value,
            "query": self._spec.query,
            "startsAt": series.since.isoformat(),
            "endsAt": series.ended.isoformat() if series.ended else None,
            "fingerprint": edge.name,
        }
        thing = f"{edge.name}/{series.since.isoformat()}/{edge.status}"
        return self._context.event(thing, data, time=happened)


def samples_of(body: Any) -> dict[str, Sample]:
    """The series of an answer, by a digest of their labels. A scalar is one without labels, unless it is 0.

    Raises:
        Transient: it is no answer of Prometheus.
        ConfigError: the query gives a range of values, or text.
    """
    data = cast("dict[str, Any]", body).get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or "resultType" not in data:
        raise Transient("the answer is none of Prometheus: it has no result")
    result = cast("dict[str, Any]", data)
    match result["resultType"]:
        case "vector":
            pairs = [(one["metric"], one["value"][1]) for one in result["result"]]
        case "scalar":
            text = result["result"][1]
            pairs = [({}, text)] if float(text) != 0 else []
        case other:
            raise ConfigError(f"the query gives a {other}; it must give a vector or a number, such as x > 0.3")
    return {fingerprint(labels): Sample(labels, _number(text)) for labels, text in pairs}


def fingerprint(labels: Mapping[str, str]) -> str:
    """The name of a series: the same for the same labels."""
    return sha256(orjson.dumps(dict(labels), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _number(text: str) -> JsonValue:
    return text if text in ("NaN", "+Inf", "-Inf") else float(text)
