"""Prometheus: a query asked again and again for a while; its value must keep within bounds.

Counts as Argo Rollouts' AnalysisRun does: a measurement is good, bad, neither (inconclusive) or an error, and each has
its limit. Source: https://argo-rollouts.readthedocs.io/en/stable/features/analysis/
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlencode, urlsplit

import orjson
from pydantic import ConfigDict, Field, field_validator, model_validator

from deploy import render
from deploy.rollout.check import CheckSpec, Every, Finding, Memory, Subject, moment, names_candidate, part, words
from deploy.rollout.conditions import compiled, decide
from deploy.rollout.tools import Request, SecretKey, Silent, Tools
from retrain.errors import ConfigError, Permanent, Transient
from retrain.events import JsonValue
from retrain.manifests.duration import Duration, spell

NAMES = ("value", "values")
LONGEST = timedelta(minutes=2)
MOST_SERIES = 1000
KEPT = 20
"""Measurements that are shown, the newest."""

_PLAIN = re.compile(r"[A-Za-z0-9_.:@/+=-]*")

Grade = Literal["good", "bad", "inconclusive", "error"]


class Spec(CheckSpec):
    """`url` is the server's, `query` PromQL for now. Bounds: `min` and `max` for every series, or `pass` and `fail`,
    expressions over `value` (the only series') and `values`. One of the two alone: the other is its opposite.

    `for`: how long it is measured. `delay`: how long after the cluster has followed the first measurement comes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: Literal["prometheus"]
    url: str = Field(min_length=1, max_length=2048)
    query: str = Field(min_length=1, max_length=8192)
    bearer: SecretKey | None = None
    basic: SecretKey | None = None
    """A secret that holds `user:password`."""
    every: Every = timedelta(seconds=30)
    for_: Duration = Field(alias="for")
    delay: Duration | None = None
    min: float | None = None
    max: float | None = None
    pass_: str | None = Field(default=None, alias="pass", min_length=1, max_length=8192)
    fail: str | None = Field(default=None, min_length=1, max_length=8192)
    empty: Literal["error", "pass", "fail"] = "error"
    failureLimit: int = Field(default=0, ge=0, le=10000)
    inconclusiveLimit: int = Field(default=0, ge=0, le=10000)
    consecutiveErrorLimit: int = Field(default=4, ge=0, le=10000)
    timeout: Annotated[Duration, Field(le=LONGEST)] = timedelta(seconds=10)

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url[:80]!r} must be the server's http:// or https:// address")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the URL holds credentials; use bearer or basic")
        return url.rstrip("/")

    @field_validator("query")
    @classmethod
    def _templates(cls, query: str) -> str:
        if why := render.check(query):
            raise ValueError(why)
        return query

    @field_validator("pass_", "fail")
    @classmethod
    def _compiles(cls, text: str | None) -> str | None:
        if text is not None:
            compiled(text, NAMES)
        return text

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        bounds = self.min is not None or self.max is not None
        if bounds == (self.pass_ is not None or self.fail is not None):
            raise ValueError("write min and max, or pass and fail")
        if self.bearer is not None and self.basic is not None:
            raise ValueError("write bearer or basic, not both")
        if self.every > self.for_:
            raise ValueError("every is longer than for: nothing would be measured twice")
        return self

    @property
    def count(self) -> int:
        """Measurements that are needed at least."""
        return math.floor(self.for_ / self.every + 1e-9) + 1

    @property
    def names_candidate(self) -> bool:
        """Whether it knows the promoted model's figures from another's."""
        return names_candidate(self.query)


async def ask(spec: Spec, subject: Subject, memory: Memory, tools: Tools) -> JsonValue:  # noqa: ARG001 - all kinds'
    """One measurement: `{"values": [...]}` or `{"error": why}`.

    Raises:
        ConfigError: the query cannot be made.
    """
    url = f"{spec.url}/api/v1/query?{urlencode({'query': filled(spec.query, subject.facts)})}"
    headers = await _login(spec, tools)
    try:
        answer = await tools.http(Request("GET", url, spec.timeout.total_seconds(), headers))
    except (Silent, Transient, Permanent) as error:
        return {"error": words(error)}
    return read(answer.status, answer.body)


def filled(query: str, facts: Mapping[str, JsonValue]) -> str:
    """The query with its templates filled in.

    Raises:
        ConfigError: a value is not there, or holds what could be more than a value in PromQL.
    """
    for text, is_filled in (pieces := render.pieces(query, facts)):
        if is_filled and not _PLAIN.fullmatch(text):
            raise ConfigError(f"query: {text[:80]!r} holds characters that do not belong into a query")
    return "".join(text for text, _ in pieces)


async def _login(spec: Spec, tools: Tools) -> dict[str, str]:
    from base64 import b64encode

    if spec.bearer is not None:
        return {"Authorization": f"Bearer {(await tools.secret(spec.bearer)).strip()}"}
    if spec.basic is not None:
        return {"Authorization": f"Basic {b64encode((await tools.secret(spec.basic)).strip().encode()).decode()}"}
    return {}


def read(status: int, body: bytes) -> dict[str, JsonValue]:
    """An answer of the query API as `{"values"}` (a number for each series; what is none is text) or `{"error"}`."""
    try:
        said: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"error": f"answered {status} without JSON: {words(body[:200].decode(errors='replace'), 120)}"}
    if status != 200 or part(said).get("status") != "success":
        return {"error": f"answered {status}: {words(part(said).get('error') or 'without a reason')}"}
    data = part(said, "data")
    kind, result = data.get("resultType"), data.get("result")
    rows = cast("list[Any]", result) if isinstance(result, list) else []
    if kind == "scalar" and len(rows) == 2:
        return {"values": [_number(rows[1])]}
    if kind != "vector":
        return {"error": f"the query gives a {words(kind, 40)}; a vector or a scalar is judged"}
    if len(rows) > MOST_SERIES:
        return {"error": f"the query gives {len(rows)} series, at most {MOST_SERIES} are judged; sum them up"}
    return {"values": [_number((part(row).get("value") or [None, None])[1]) for row in rows]}


def _number(value: object) -> JsonValue:
    """A finite number, else null: a rate over nothing is NaN, and no number to compare."""
    try:
        number = float(cast("str", value))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def grade(spec: Spec, answer: Mapping[str, Any]) -> tuple[Grade, str]:
    """What one measurement is, and why. Pure."""
    if "error" in answer:
        return "error", str(answer["error"])
    values: list[float] = [one for one in answer.get("values") or () if one is not None]
    if not values:
        grades: dict[str, Grade] = {"pass": "good", "fail": "bad", "error": "error"}
        return grades[spec.empty], "the query gives no number"
    if spec.min is not None or spec.max is not None:
        return _bounded(spec, values)
    return _by_words(spec, values)


def _bounded(spec: Spec, values: list[float]) -> tuple[Grade, str]:
    low, high = min(values), max(values)
    if spec.max is not None and high > spec.max:
        return "bad", f"{high:g} is more than {spec.max:g}"
    if spec.min is not None and low < spec.min:
        return "bad", f"{low:g} is less than {spec.min:g}"
    return "good", f"{high:g}" if low == high else f"{low:g} to {high:g}"


def _by_words(spec: Spec, values: list[float]) -> tuple[Grade, str]:
    facts: dict[str, JsonValue] = {"values": [*values], "value": values[0] if len(values) == 1 else None}
    good = decide(spec.pass_, NAMES, facts) if spec.pass_ is not None else None
    bad = decide(spec.fail, NAMES, facts) if spec.fail is not None else None
    for said in (good, bad):
        if isinstance(said, str):
            return "error", said
    shown = ", ".join(f"{one:g}" for one in values[:5])
    if bad or (spec.fail is None and not good):
        return "bad", f"{spec.fail or spec.pass_} is {str(bool(bad)).lower()} of {shown}"
    if good or spec.pass_ is None:
        return "good", shown
    return "inconclusive", f"neither pass nor fail is true of {shown}"


def judge(spec: Spec, subject: Subject, answer: JsonValue, memory: Memory, now: datetime) -> Finding:  # noqa: ARG001
    """Count the measurement. A limit that is passed ends it; without one it passes after `for`."""
    what, why = grade(spec, part(answer))
    counts = {name: _count(memory, name) + (name == what) for name in ("good", "bad", "inconclusive", "error")}
    errors = _count(memory, "errors") + 1 if what == "error" else 0
    began = moment(memory.get("began")) or now
    values = cast("list[Any]", memory.get("values") or [])
    shown: list[JsonValue] = [*values, {"at": now.isoformat(), "is": what, "why": words(why, 120)}][-KEPT:]
    kept: dict[str, JsonValue] = {**counts, "errors": errors, "began": began.isoformat(), "values": shown}
    measured = counts["good"] + counts["bad"] + counts["inconclusive"]
    figures: dict[str, JsonValue] = {**counts, "needed": spec.count, "measurements": shown}

    def say(verdict: Literal["pass", "fail", "error", "pending"], reason: str, *, over: bool = True) -> Finding:
        return Finding(verdict, reason, figures, kept, over)

    if counts["bad"] > spec.failureLimit:
        return say("fail", f"{counts['bad']} bad measurements, {spec.failureLimit} are allowed: {why}")
    if errors > spec.consecutiveErrorLimit:
        return say("error", f"{errors} measurements in a row could not be made: {why}")
    if counts["inconclusive"] > spec.inconclusiveLimit:
        return say("error", f"inconclusive {counts['inconclusive']} times, {spec.inconclusiveLimit} are allowed: {why}")
    if what != "error" and measured >= spec.count and now - began >= spec.for_:
        return say("pass", f"{measured} measurements over {spell(spec.for_)}, the last: {why}")
    return say("pending", f"{measured} of {spec.count} measurements, the last: {why}", over=False)


def _count(memory: Memory, name: str) -> int:
    value = memory.get(name)
    return value if isinstance(value, int) else 0
