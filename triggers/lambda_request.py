"""From a rendered `awsLambda` action to an invocation, and from its answer to a verdict. Pure, but for secrets."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import cast

import orjson

from retrain.errors import ConfigError, NotFound, Permanent, Transient
from retrain.events import JsonValue
from triggers.action_fields import Fields, Redaction, check_line, fields_of, shown
from triggers.port import Firing, Secrets

FIELDS = frozenset({"functionName", "region", "invocationType", "accessKey", "secretKey", "roleARN", "payload", "body"})
INVOCATIONS = ("RequestResponse", "Event", "DryRun")
MAX_PAYLOAD = {"RequestResponse": 6 * 1024 * 1024, "Event": 1024 * 1024, "DryRun": 6 * 1024 * 1024}
"""Bytes that AWS takes, by how the function is invoked."""
KEPT = 4096
"""Bytes of a function's answer that are kept with the firing."""
FIRING = "retrain-firing"
"""The name in the client context's `custom` under which a function finds the firing's id."""

_FUNCTION = re.compile(r"[A-Za-z0-9:_$./-]{1,170}")
_REGION = re.compile(r"[a-z0-9-]{1,32}")
_ROLE = re.compile(r"arn:[a-z0-9-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}")


@dataclass(frozen=True, slots=True)
class LambdaLogin:
    """Where to invoke, and as whom. Without keys it is whoever the machine is to AWS. Its own key among the clients."""

    region: str
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    role: str = ""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What to call. `context`: the client context, base64; only a function that is waited for gets to see it."""

    function: str
    kind: str
    payload: bytes
    context: str


@dataclass(frozen=True, slots=True)
class LambdaRequest:
    """Both, and the status codes that are success; empty: any 2xx."""

    login: LambdaLogin
    invocation: Invocation
    allow: frozenset[int]
    redact: Redaction


@dataclass(frozen=True, slots=True)
class LambdaAnswer:
    """What AWS said. `error`: its `FunctionError`, empty where the function ended well."""

    status: int
    error: str
    payload: bytes
    version: str


def build_request(firing: Firing, secrets: Secrets) -> LambdaRequest:
    """The invocation of an `awsLambda` firing, with its secrets looked up now.

    Raises:
        Permanent: the action is no invocation, or a secret is missing.
    """
    fields = fields_of(firing, "awsLambda", secrets)
    fields.only(FIELDS)
    invocation = _invocation(fields, firing)
    try:
        login = _login(fields)
    except (ConfigError, NotFound) as error:
        raise Permanent(str(error)) from error
    return LambdaRequest(login, invocation, fields.allowed_statuses(), fields.redaction())


def judge(answer: LambdaAnswer, allow: frozenset[int]) -> dict[str, JsonValue]:
    """The result to keep: `{"status", "payload" (its beginning as text), "version", "truncated" (if cut)}`.

    A function that failed is tried again: it may have been its own service that was away.

    Raises:
        Transient: the function failed, or the status is none that is allowed.
    """
    text = answer.payload[:KEPT].decode(errors="replace")
    if answer.error:
        raise Transient(f"the function failed ({answer.error}): {_reason(answer.payload, text)}")
    if (answer.status not in allow) if allow else not 200 <= answer.status < 300:
        listed = f", which policy.status.allow ({', '.join(map(str, sorted(allow)))}) does not have" if allow else ""
        raise Transient(f"awsLambda answered {answer.status}{listed}")
    result: dict[str, JsonValue] = {"status": answer.status, "payload": text}
    if answer.version:
        result["version"] = answer.version
    return result | {"truncated": True} if len(answer.payload) > KEPT else result


def _invocation(fields: Fields, firing: Firing) -> Invocation:
    function = fields.required("functionName")
    if not _FUNCTION.fullmatch(function):
        raise Permanent(f"awsLambda.functionName {shown(function)!r} is no name or ARN of a function")
    kind = fields.text("invocationType") or INVOCATIONS[0]
    if kind not in INVOCATIONS:
        raise Permanent(f"awsLambda.invocationType {shown(kind)!r} is none of {', '.join(INVOCATIONS)}")
    payload = fields.payload()
    if len(payload) > MAX_PAYLOAD[kind]:
        raise Permanent(f"the awsLambda payload has {len(payload)} bytes; AWS takes {MAX_PAYLOAD[kind]}")
    context = orjson.dumps({"custom": {FIRING: firing.id}})
    return Invocation(function, kind, payload, b64encode(context).decode())


def _login(fields: Fields) -> LambdaLogin:
    region = fields.required("region")
    if not _REGION.fullmatch(region):
        raise Permanent(f"awsLambda.region {shown(region)!r} is no region: write one like eu-central-1")
    role = fields.text("roleARN")
    if role and not _ROLE.fullmatch(role):
        raise Permanent(f"awsLambda.roleARN {shown(role)!r} is no role: write arn:aws:iam::ACCOUNT:role/NAME")
    access = check_line(fields.secret(fields.action.get("accessKey"), "accessKey"), "awsLambda.accessKey")
    secret = fields.secret(fields.action.get("secretKey"), "secretKey")
    if bool(access) != bool(secret):
        raise Permanent("awsLambda.accessKey and secretKey go together")
    return LambdaLogin(region, access, secret, role)


def _reason(payload: bytes, text: str) -> str:
    try:
        told: JsonValue = orjson.loads(payload)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict) and told.get("errorMessage"):
        told = cast("dict[str, JsonValue]", told)
        return f"{told.get('errorType') or 'error'}: {shown(told['errorMessage'])}"
    return shown(text)
