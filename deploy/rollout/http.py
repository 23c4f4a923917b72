"""A smoke test: requests with sample inputs to what serves the model, until the right answers came in a row.

What is not there yet (no connection, 404, 503 and the like) is waited for. A wrong answer, a slow one or another status
is a failure, and `failures` of them in a row fail the check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import quote, urlsplit

import orjson
from pydantic import Field, field_validator, model_validator
from pydantic import JsonValue as Json

from deploy import render
from deploy.rollout.check import CheckSpec, Finding, Memory, Subject, names_candidate, part, words
from deploy.rollout.conditions import compiled, decide
from deploy.rollout.tools import Answer, Request, SecretKey, Silent, Tools
from retrain.errors import ConfigError, Permanent, Transient
from retrain.events import JsonValue
from retrain.manifests.duration import Duration

LONGEST = timedelta(minutes=2)
MOST_SAMPLES, MOST_FILE = 100, 4 * 1024 * 1024
LATER = frozenset({404, 408, 425, 429, 502, 503, 504})
"""Statuses of a server that is not there yet."""
CLOSED = frozenset({401, 403, 407})
"""Statuses that say something about us, and nothing about the model."""
NAMES = ("status", "body", "text", "seconds", "sample", "candidate")


class Spec(CheckSpec):
    """`url`, `body` and the values of `headers` know the templates of edits; in `url` what is filled in is quoted.

    `body` is one sample, `samples` many: written here, or a file with a JSON array or one JSON value on each line.
    `expect` is an expression over `status`, `body` (the answer's JSON), `text`, `seconds`, `sample`, `candidate`.
    """

    kind: Literal["http"]
    url: str = Field(min_length=1, max_length=2048)
    method: Literal["GET", "HEAD", "POST", "PUT"] | None = None
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    secretHeaders: dict[str, SecretKey] = Field(default_factory=dict, max_length=20)
    bearer: SecretKey | None = None
    body: Json = None
    samples: tuple[Json, ...] | str | None = None
    status: tuple[int, ...] = Field(default=(200,), min_length=1, max_length=20)
    expect: str | None = Field(default=None, min_length=1, max_length=8192)
    latency: Duration | None = None
    timeout: Annotated[Duration, Field(le=LONGEST)] = timedelta(seconds=10)
    passes: int = Field(default=3, ge=1, le=1000)
    failures: int = Field(default=3, ge=1, le=1000)

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        if why := render.check(url):
            raise ValueError(why)
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"{url[:80]!r} is no URL: {error}") from None
        bare = url.replace("{{ ", "{{").replace(" }}", "}}")
        if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() for c in bare):
            raise ValueError(f"{url[:80]!r} must be an http:// or https:// address")
        if "{{" in parts.netloc:
            raise ValueError("the server's name is no place for a template")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the URL holds credentials; use bearer or secretHeaders")
        return url

    @field_validator("expect")
    @classmethod
    def _compiles(cls, text: str | None) -> str | None:
        if text is not None:
            compiled(text, NAMES)
        return text

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.body is not None and self.samples is not None:
            raise ValueError("write body for one sample, or samples for many")
        if isinstance(self.samples, tuple) and not 0 < len(self.samples) <= MOST_SAMPLES:
            raise ValueError(f"samples: 1 to {MOST_SAMPLES} of them")
        if self.verb in {"GET", "HEAD"} and (self.body is not None or self.samples is not None):
            raise ValueError(f"a {self.verb} has no body")
        for name, value in (*self.headers.items(), *((name, "") for name in self.secretHeaders)):
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"{name[:80]!r} is no name of a header")
            if why := render.check(value):
                raise ValueError(f"headers.{name}: {why}")
        return self

    @property
    def verb(self) -> str:
        """The method that is used."""
        return self.method or ("GET" if self.body is None and self.samples is None else "POST")

    @property
    def names_candidate(self) -> bool:
        """Whether it knows the promoted model from another."""
        return names_candidate(f"{self.url} {self.headers} {self.body} {self.samples}") or "candidate" in (
            self.expect or ""
        )


async def ask(spec: Spec, subject: Subject, memory: Memory, tools: Tools) -> JsonValue:  # noqa: ARG001 - all kinds'
    """Send every sample once: `{"sent", "answers": [...]}`. Stops at the first that got no answer.

    Raises:
        ConfigError, Permanent: it cannot be sent.
    """
    url = address(spec.url, subject.facts)
    headers = await _headers(spec, subject, tools)
    answers: list[JsonValue] = []
    for sample in await _samples(spec, tools):
        written = _filled(sample, subject.facts)
        body = None if written is None else orjson.dumps(written)
        request = Request(spec.verb, url, spec.timeout.total_seconds(), headers, body)
        answers.append(await _once(spec, request, written, tools, subject))
        if part(answers[-1]).get("what") != "right":
            break
    return {"answers": answers}


def address(url: str, facts: Mapping[str, JsonValue]) -> str:
    """The URL with its templates filled in, each value quoted: it stays one segment, or one value of the query.

    Raises:
        ConfigError: the candidate has no such value, or one that would lead elsewhere.
    """
    pieces = render.pieces(url, facts)
    for text, is_filled in pieces:
        if is_filled and text in {"", ".", ".."}:
            raise ConfigError(f"url: {text!r} cannot be filled into an address")
    return "".join(quote(text, safe=":") if is_filled else text for text, is_filled in pieces)


def _filled(value: Json, facts: Mapping[str, JsonValue]) -> JsonValue:
    if isinstance(value, str):
        return cast("JsonValue", render.render(value, facts)) if "{{" in value else value
    if isinstance(value, list):
        return [_filled(one, facts) for one in value]
    if isinstance(value, dict):
        return {name: _filled(one, facts) for name, one in value.items()}
    return value


async def _headers(spec: Spec, subject: Subject, tools: Tools) -> dict[str, str]:
    found = {"Content-Type": "application/json"} if spec.verb in {"POST", "PUT"} else {}
    for name, value in spec.headers.items():
        found[name] = words(render.render(value, subject.facts), 4096)
    for name, ref in spec.secretHeaders.items():
        found[name] = (await tools.secret(ref)).strip()
    if spec.bearer is not None:
        found["Authorization"] = f"Bearer {(await tools.secret(spec.bearer)).strip()}"
    return found


async def _samples(spec: Spec, tools: Tools) -> Sequence[Json]:
    if spec.samples is None:
        return (spec.body,)
    if isinstance(spec.samples, tuple):
        return spec.samples
    raw = await tools.read(spec.samples, MOST_FILE)
    try:
        text = raw.lstrip()
        found: Any = orjson.loads(text) if text[:1] == b"[" else [orjson.loads(one) for one in raw.splitlines() if one]
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{spec.samples}: is neither a JSON array nor one JSON value on each line: {error}") from None
    if not found or len(found) > MOST_SAMPLES:
        raise ConfigError(f"{spec.samples}: has {len(found)} samples; 1 to {MOST_SAMPLES} are sent")
    return cast("list[Json]", found)


async def _once(spec: Spec, request: Request, sample: JsonValue, tools: Tools, subject: Subject) -> JsonValue:
    try:
        answer = await tools.http(request)
    except Silent as error:
        return {"what": "wrong", "why": words(error)}
    except Transient as error:
        return {"what": "away", "why": words(error)}
    except Permanent as error:
        return {"what": "error", "why": words(error)}
    what, why = weigh(spec, answer, sample, subject)
    return {"what": what, "why": why, "status": answer.status, "seconds": round(answer.seconds, 4)}


def weigh(spec: Spec, answer: Answer, sample: JsonValue, subject: Subject) -> tuple[str, str]:
    """What one answer is worth: right, wrong, away (not there yet) or error; and why. Pure."""
    if answer.status not in spec.status:
        said = f"answered {answer.status}: {words(answer.body[:200].decode(errors='replace'), 120)}".rstrip(": ")
        return ("away" if answer.status in LATER else "error" if answer.status in CLOSED else "wrong"), said
    if spec.latency is not None and answer.seconds > spec.latency.total_seconds():
        return "wrong", f"answered in {answer.seconds:.3f} s, {spec.latency.total_seconds():g} s are allowed"
    if spec.expect is None:
        return "right", f"answered {answer.status}"
    held = decide(spec.expect, NAMES, _facts(answer, sample, subject))
    if isinstance(held, bool):
        shown = words(answer.body[:200].decode(errors="replace"), 120)
        return ("right", spec.expect) if held else ("wrong", f"{spec.expect} is false of {shown}")
    return "wrong", held


def _facts(answer: Answer, sample: JsonValue, subject: Subject) -> dict[str, JsonValue]:
    try:
        body: JsonValue = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = None
    text = answer.body.decode(errors="replace")
    facts = {"status": answer.status, "body": body, "text": text, "seconds": answer.seconds, "sample": sample}
    return {**facts, "candidate": subject.facts.get("candidate")}


def judge(spec: Spec, subject: Subject, answer: JsonValue, memory: Memory, now: datetime) -> Finding:  # noqa: ARG001
    """Passes after `passes` good rounds in a row, fails after `failures` bad ones in a row."""
    given = cast("list[Any]", part(answer).get("answers") or [])
    last = part(given[-1] if given else None)
    what, why = str(last.get("what") or "error"), str(last.get("why") or "nothing was sent")
    good = _count(memory, "good") + 1 if what == "right" else 0
    bad = _count(memory, "bad") + 1 if what == "wrong" else 0
    slowest = max((float(part(one).get("seconds") or 0) for one in given), default=0.0)
    figures: dict[str, JsonValue] = {"passes": good, "failures": bad, "status": last.get("status"), "seconds": slowest}
    kept: dict[str, JsonValue] = {"good": good, "bad": bad}
    if good >= spec.passes:
        return Finding("pass", f"{good} times in a row: {why}", figures, kept, over=True)
    if bad >= spec.failures:
        return Finding("fail", f"{bad} times in a row: {why}", figures, kept, over=True)
    match what:
        case "right":
            return Finding("pending", f"{good} of {spec.passes} in a row: {why}", figures, kept)
        case "wrong":
            return Finding("pending", f"failed {bad} of {spec.failures} times in a row: {why}", figures, kept)
        case "away":
            return Finding("pending", f"not there yet: {why}", figures, kept)
        case _:
            return Finding("error", why, figures, kept)


def _count(memory: Memory, name: str) -> int:
    value = memory.get(name)
    return value if isinstance(value, int) else 0
