"""What a Kubernetes API server answers instead of doing it, told apart by what the caller should do.

    Transient
    ├── Unreachable         no answer: the network, its certificate, a time-out
    ├── Busy                429 or 5xx, or it does not come to count a quota; `after_s` where the server names a pause
    ├── Expired             410: what was remembered is too old, it must be listed anew
    └── QuotaExceeded       a ResourceQuota is used up; something else must end first
    ConfigError
    ├── Denied              401, 403: `verb` and `resource` as the server names them
    └── Invalid             400, 422 and the like: `fields` are the paths that are wrong
    Refused
    ├── AlreadyExists       409: an object has this name
    ├── Conflict            409: it has changed meanwhile, or another manager owns the field
    └── AdmissionRefused    a webhook, a policy or Pod Security said no
    NotFound
    ├── KindMissing         the server knows no such resource: is its CRD installed?
    └── NamespaceMissing

A NotFound that is neither is a missing object. Messages quote the server, never what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from retrain.errors import ConfigError, NotFound, Refused, RetrainError, Transient

SAID = 500
"""Characters of the server's message that are quoted."""
LONGEST_S = 3600.0
"""Seconds of pause that a server can ask for; what it says beyond counts as this."""
UNCOUNTED = ("exceeded quota", "status unknown for quota")
"""What is said where a quota is used up, and where its controller has not counted yet what is used."""
CANNOT = re.compile(r'cannot (\S+) resource "([^"]*)"')
ADMISSION = re.compile(r"denied the request|denied request|violates PodSecurity|is forbidden: ")


class Unreachable(Transient):
    """Nobody has answered."""


class Busy(Transient):
    """The server answers that it cannot now. `after_s`: seconds that it asks to wait, where it does."""

    def __init__(self, message: str, after_s: float | None = None) -> None:
        super().__init__(message)
        self.after_s = after_s


class Expired(Transient):
    """What was remembered is too old for the server: it must be listed anew."""


class QuotaExceeded(Transient):
    """The namespace has no room left for it."""


class Denied(ConfigError):
    """Whoever asks is not known (401), or may not (403); `verb` and `resource` where the server names them."""

    def __init__(self, message: str, verb: str = "", resource: str = "") -> None:
        super().__init__(message)
        self.verb, self.resource = verb, resource


class Invalid(ConfigError):
    """The server cannot read it, or a field has no valid value. `fields`: their paths, as the server writes them."""

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class AlreadyExists(Refused):
    """Another object has this name."""


class Conflict(Refused):
    """The object has changed since it was read, or someone else manages the field."""


class AdmissionRefused(Refused):
    """A rule of the cluster's own does not let it in."""


class KindMissing(NotFound):
    """The server knows no such resource in this group and version."""


class NamespaceMissing(NotFound):
    """The namespace is not there, or is just being deleted."""


def refusal(asked: str, code: int, raw: bytes, retry_after: str = "") -> RetrainError:
    """The error that an answer means.

    `asked` says what was asked of whom, `raw` is the body (a Status object, if the server is well), `retry_after` the
    header of this name.
    """
    status = _status(raw)
    details = _mapping(status.get("details"))
    said = str(status.get("message") or "")
    text = f"{asked} answers {code}{': ' if said else ''}{said[:SAID]}"
    match code:
        case 410:
            return Expired(text)
        case 404:
            return _missing(text, details)
        case 401:
            return Denied(text)
        case 403:
            return _forbidden(text, said, details)
        case 409:
            return _conflicting(text, status.get("reason"), details)
        case 429 | _ if code == 429 or code >= 500:
            return Busy(text, _pause(retry_after, details))
        case _:
            return _invalid(text, said, details)


def _forbidden(text: str, said: str, details: Mapping[str, Any]) -> RetrainError:
    """Of those who may not ask, and of what may not be there: both are 403."""
    if found := CANNOT.search(said):
        return Denied(text, found[1], found[2])
    if any(one in said for one in UNCOUNTED):
        return QuotaExceeded(text)
    if "NamespaceTerminating" in _causes(details, "reason"):
        return NamespaceMissing(text)
    return AdmissionRefused(text) if ADMISSION.search(said) else Denied(text)


def _conflicting(text: str, reason: Any, details: Mapping[str, Any]) -> RetrainError:
    if reason == "AlreadyExists":
        return AlreadyExists(text)
    # Not about the object itself: too many are made at once for the quota that counts them.
    return Busy(text) if details.get("kind") == "resourcequotas" else Conflict(text)


def _missing(text: str, details: Mapping[str, Any]) -> NotFound:
    if not details.get("name"):
        return KindMissing(f"{text} (is there such a resource, in this group and version?)")
    return NamespaceMissing(text) if details.get("kind") == "namespaces" else NotFound(text)


def _invalid(text: str, said: str, details: Mapping[str, Any]) -> RetrainError:
    if "denied the request" in said or "denied request" in said:  # a webhook or a policy chooses its own code
        return AdmissionRefused(text)
    return Invalid(text, tuple(one for one in _causes(details, "field") if one))


def _causes(details: Mapping[str, Any], name: str) -> list[str]:
    causes = details.get("causes")
    return [str(_mapping(cause).get(name) or "") for cause in causes] if isinstance(causes, list) else []


def _pause(header: str, details: Mapping[str, Any]) -> float | None:
    given = int(header) if header.isdecimal() and len(header) < 10 else details.get("retryAfterSeconds")
    return min(float(given), LONGEST_S) if isinstance(given, int) and given > 0 else None


def _status(raw: bytes) -> dict[str, Any]:
    """The Status object; empty where a proxy has answered something else."""
    try:
        return _mapping(orjson.loads(raw))
    except orjson.JSONDecodeError:
        return {}


def _mapping(found: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
