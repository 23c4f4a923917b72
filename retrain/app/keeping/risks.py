"""Settings that somebody should have meant. Pure; `retrain.app.keeping.checks` has the rest of what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrain.app.access.access_settings import SHORTEST_TOKEN
from retrain.app.keeping.checks import Checked, Status


@dataclass(frozen=True, slots=True)
class Risky:
    """What the settings and the environment say, as far as it may be risky."""

    host: str
    shared_token: int | None
    """Characters of `server.token`."""
    plain_tokens: tuple[str, ...]
    """Users whose token stands in the settings as it is."""
    users: int
    fault: bool
    http_private: bool
    any_image: bool
    remote_sources: bool
    debug: bool


_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def risks(one: Risky) -> Iterator[Checked]:
    """Settings that somebody should have meant."""
    found = [Checked(name, status, said, means, do) for name, status, holds, said, means, do in _RISKS if holds(one)]
    yield from found
    if not found:
        yield Checked("settings", "ok", "none is risky")


_Rule = tuple[str, Status, Callable[[Risky], bool], str, str, str]
_RISKS: tuple[_Rule, ...] = (
    (
        "settings fault",
        "fail",
        lambda one: one.fault,
        "RETRAIN_FAULT is set",
        "the platform kills itself at a named point: that is for tests",
        "take the variable away and start again",
    ),
    (
        "settings host",
        "warn",
        lambda one: one.host not in _LOOPBACK,
        "server.host is not loopback, and the platform speaks plain HTTP",
        "tokens and payloads can be read on the network",
        "put a proxy with TLS in front, and let only that one reach the port (docs/access.md)",
    ),
    (
        "settings token",
        "warn",
        lambda one: one.shared_token is not None and one.shared_token < SHORTEST_TOKEN,
        f"server.token has fewer than {SHORTEST_TOKEN} characters",
        "it can be guessed",
        "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
    ),
    (
        "settings shared token",
        "warn",
        lambda one: one.shared_token is not None and not one.users,
        "all use server.token",
        "the audit cannot say who did what, and it ends for all at once",
        "give people tokens of their own (docs/access.md)",
    ),
    (
        "settings users",
        "warn",
        lambda one: bool(one.plain_tokens),
        "tokens stand in access.users as they are",
        "who reads the settings can speak for these people",
        "write token_sha256 instead (docs/settings.md)",
    ),
    (
        "settings images",
        "warn",
        lambda one: one.any_image,
        "pipelines.any_image is on",
        "a step may run with other tools than its image has",
        "name the images in pipelines.images",
    ),
    (
        "settings private addresses",
        "warn",
        lambda one: one.http_private and one.host not in _LOOPBACK,
        "pipelines.http_private is on, and the API is open to the network",
        "whoever may submit a workflow can reach servers beside this one",
        "set it to false, unless http steps need such addresses",
    ),
    (
        "settings remote objects",
        "warn",
        lambda one: one.remote_sources and one.host not in _LOOPBACK,
        "sensors.allow_remote_sources is on, and the API is open to the network",
        "what a trigger submits is decided elsewhere",
        "set it to false, unless triggers take their objects from Git, URLs or S3",
    ),
    (
        "settings logs",
        "warn",
        lambda one: one.debug,
        "RETRAIN_LOG_LEVEL is debug",
        "logs are long, and slow under load",
        "set it to info",
    ),
)
