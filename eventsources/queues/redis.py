"""What a user writes for a source on Redis' channels, and what can be wrong with it. `redis_source.py` runs it."""

from __future__ import annotations

from collections.abc import Iterator

from eventsources.fields import TLS, Filter, Limits, Path, check_secret, check_tls, only_ours
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

PORT = 6379


class Redis(Shape):
    """Messages of channels, as Redis hands them out: once, to whoever is there.

    `host_address`: HOST:PORT. `namespace` is where Argo Events looks for the password; it changes nothing here.
    `patterns` (of retrain.dev/v1): channels by a pattern like `data.*`.
    """

    host_address: str = ""
    channels: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    username: str = ""
    password: KeySelector | None = None
    namespace: str = ""
    db: int = 0
    tls: TLS | None = None
    json_body: bool | None = None
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def check(path: Path, redis: Redis, ours: bool) -> Iterator[Problem]:
    """What is wrong with one source on channels."""
    yield from check_server(path, redis.host_address, redis.db)
    yield from check_secret((*path, "password"), redis.password)
    yield from check_tls((*path, "tls"), redis.tls, ours=ours)
    yield from only_ours(path, redis, ("patterns",), ours=ours)
    if not redis.channels and not redis.patterns:
        yield Problem(path, "missing-field", "channels is missing: the names of the channels to listen to")
    for field, names in (("channels", redis.channels), ("patterns", redis.patterns)):
        for index, name in enumerate(names):
            if not name:
                yield Problem((*path, field, index), "wrong-value", "a channel's name must not be empty")


def check_server(path: Path, address: str, db: int) -> Iterator[Problem]:
    """Where the server is, and which of its databases is meant."""
    if not address:
        yield Problem(path, "missing-field", "hostAddress is missing: HOST:PORT of the Redis server")
    elif place(address) is None:
        message = f"hostAddress {address!r} is no HOST:PORT"
        yield Problem((*path, "hostAddress"), "wrong-value", message)
    if db < 0:
        yield Problem((*path, "db"), "wrong-value", "db is the number of a database, from 0 on")


def place(address: str) -> tuple[str, int] | None:
    """Host and port of an address; None where it is none. `[::1]:6379` is an address of IPv6."""
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, str(PORT)
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or any(one in host for one in "/@ ") or not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    return host, int(port)
