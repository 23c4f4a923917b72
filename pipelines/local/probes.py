"""Readiness probes: whether a daemon can be used yet. As Kubernetes' kubelet asks.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import anyio

from pipelines.local.environment import expand
from retrain.errors import ConfigError

ADDRESS = "127.0.0.1"
_PERIOD_S = 10.0
_FIRST_S = 0.1
"""Seconds between the first looks, doubled until the probe's own period: a daemon here is up in moments, and who waits
for it need not wait for the rest of a period."""
_LINE_BYTES = 256

Exec = Callable[[tuple[str, ...]], Awaitable[int]]
"""Runs a command as the container would, and gives its exit code."""
Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Readiness:
    """A probe with its times in seconds. `needed`: successes in a row."""

    probe: Probe
    initial_s: float
    period_s: float
    timeout_s: float
    needed: int

    async def wait(self) -> None:
        """Until the daemon is ready; cancel it when the daemon ends."""
        await anyio.sleep(self.initial_s)
        good, pause = 0, min(_FIRST_S, self.period_s)
        while True:
            good = good + 1 if await self._once() else 0
            if good >= self.needed:
                return
            await anyio.sleep(pause)
            pause = min(pause * 2, self.period_s)

    async def _once(self) -> bool:
        with anyio.move_on_after(self.timeout_s):
            return await self.probe()
        return False


def readiness(container: Mapping[str, Any], env: Mapping[str, str], run: Exec) -> Readiness | None:
    """The readiness probe of a container; None if it has none, and is ready once it runs.

    Raises:
        ConfigError: the probe is of a kind that is not built, or names no port.
    """
    spec: Mapping[str, Any] | None = container.get("readinessProbe")
    if not spec:
        return None
    return Readiness(
        _probe(spec, container, env, run),
        float(spec.get("initialDelaySeconds") or 0),
        float(spec.get("periodSeconds") or _PERIOD_S),
        float(spec.get("timeoutSeconds") or 1),
        max(1, int(spec.get("successThreshold") or 1)),
    )


def _probe(spec: Mapping[str, Any], container: Mapping[str, Any], env: Mapping[str, str], run: Exec) -> Probe:
    if action := spec.get("exec"):
        argv = tuple(expand(str(word), env) for word in action.get("command") or ())
        if not argv:
            raise ConfigError("readinessProbe.exec has no command")
        return lambda: _succeeds(run, argv)
    if action := spec.get("httpGet"):
        if str(action.get("scheme") or "HTTP").upper() != "HTTP":
            raise ConfigError(
                "readinessProbe.httpGet: scheme HTTPS is not built for local steps; use tcpSocket or exec"
            )
        port, path = _port(action.get("port"), container), quote(str(action.get("path") or "/"), safe="/?&=%+:@,;~")
        return lambda: _answers(_host(action), port, path)
    if action := spec.get("tcpSocket"):
        port = _port(action.get("port"), container)
        return lambda: _listens(_host(action), port)
    raise ConfigError(
        f"readinessProbe: {'/'.join(sorted(spec))} is not built for local steps; use exec, httpGet, tcpSocket"
    )


def _host(action: Mapping[str, Any]) -> str:
    host = str(action.get("host") or ADDRESS)
    if host not in (ADDRESS, "localhost", "::1"):
        raise ConfigError(f"readinessProbe: host {host!r}: a local step is asked at {ADDRESS} only")
    return host


def _port(given: object, container: Mapping[str, Any]) -> int:
    for port in container.get("ports") or ():
        if port.get("name") == given:
            return int(port.get("containerPort", 0))
    if (isinstance(given, int) or (isinstance(given, str) and given.isdecimal())) and 0 < int(given) < 65536:
        return int(given)
    raise ConfigError(f"readinessProbe: {given!r} is neither a port nor the name of one")


async def _succeeds(run: Exec, argv: tuple[str, ...]) -> bool:
    return await run(argv) == 0


async def _listens(host: str, port: int) -> bool:
    try:
        async with await anyio.connect_tcp(host, port):
            return True
    except OSError:
        return False


async def _answers(host: str, port: int, path: str) -> bool:
    """Whether a GET is answered with 200 to 399. A few lines in place of an HTTP client, which takes long to load."""
    try:
        async with await anyio.connect_tcp(host, port) as stream:
            request = (
                f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: kube-probe\r\nConnection: close\r\n\r\n"
            )
            await stream.send(request.encode())
            head = b""
            while b"\n" not in head and len(head) < _LINE_BYTES:
                head += await stream.receive(_LINE_BYTES)
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
        return False
    words = head.split(maxsplit=2)
    return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1][:1] in (b"2", b"3")
