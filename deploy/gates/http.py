"""A service of the user's own judges: it gets the evidence by POST, and answers `{verdict, reason, figures}`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit

import orjson
from pydantic import Field, field_validator

from deploy.canonical import canonical
from deploy.gates import answers
from deploy.gates.evidence import Evidence
from deploy.gates.gathering import MOST_ANSWER, Tools
from deploy.gates.verdict import GateSpec, Verdict
from deploy.shape import Shape
from retrain.events import JsonValue
from retrain.manifests.duration import Duration

LONGEST = timedelta(minutes=10)


class SecretKey(Shape):
    """A value of a Secret of the project."""

    name: str = Field(min_length=1)
    key: str = Field(min_length=1)


class Spec(GateSpec):
    """`bearer`: the Secret's key that holds the token of `Authorization: Bearer`. Credentials in `url` are refused.

    One request for one gate, candidate and champion, with an `Idempotency-Key`; `timeout` bounds it.
    """

    kind: Literal["http"]
    url: str = Field(min_length=1, max_length=2048)
    bearer: SecretKey | None = None
    timeout: Annotated[Duration, Field(le=LONGEST)] = timedelta(seconds=30)

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError as error:
            raise ValueError(f"{url[:80]!r} is no URL: {error}") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() for c in url):
            raise ValueError(f"{url[:80]!r} must be an http:// or https:// address")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the URL holds credentials; use bearer")
        return url


async def gather(spec: Spec, evidence: Evidence, tools: Tools) -> JsonValue:
    """Ask the service once.

    Raises:
        Transient: it is away, slow, or says "later".
        Permanent: it says no to the request, or the address is closed.
    """
    headers = {"Content-Type": "application/json", "Idempotency-Key": answers.key_of(spec, evidence)}
    if spec.bearer is not None:
        headers["Authorization"] = f"Bearer {await tools.secret(spec.bearer.name, spec.bearer.key)}"
    body = canonical({"gate": spec.name, "evidence": evidence.to_dict()})
    answer = await tools.post(spec.url, body, headers, spec.timeout.total_seconds(), MOST_ANSWER)
    return _read(answer)


def _read(answer: bytes) -> dict[str, JsonValue]:
    try:
        said: JsonValue = orjson.loads(answer)
    except orjson.JSONDecodeError as error:
        return answers.trouble(f"the service's answer is no JSON: {error}", again=True)
    if not isinstance(said, Mapping):
        return answers.trouble("the service's answer is no JSON object", again=True)
    reason = str(said.get("reason") or "")[:500]
    match said.get("verdict"):
        case "pending":
            return answers.pending(reason or "the service says pending")
        case "error":
            return answers.trouble(reason or "the service says error", again=True)
        case _:
            return answers.done(said={name: said.get(name) for name in ("verdict", "reason", "figures")})


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """What the service said; error if that is no verdict."""
    answer = answers.answered(spec, evidence)
    if isinstance(answer, Verdict):
        return answer
    return answers.opinion(spec, cast("Mapping[str, JsonValue]", answer["said"]), "the service")
