"""What is wrong with one source that has the right shape: pure functions, one for each kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

import re2

from eventsources.duration import seconds
from eventsources.http.paths import BadTemplate, Template
from eventsources.shapes import File, Filter, Minio, Webhook
from retrain.manifests import Plugged, Problem, describe, problems
from retrain.manifests.argo import KeySelector

METHODS = ("GET", "POST")
OPS = {"CREATE": 1, "WRITE": 2, "REMOVE": 4, "RENAME": 8, "CHMOD": 16}
"""fsnotify's operations and their bits."""

MAX_PAYLOAD = 1024 * 1024
Path = tuple[str | int, ...]


def check_plugged(plugged: Iterable[Plugged]) -> Iterator[Problem]:
    """The kinds of plugins: each is a map by event name, and what stands there is the plugin's own."""
    for one in plugged:
        at = ("spec", one.name)
        if not isinstance(one.body, dict):
            yield Problem(at, "wrong-type", f"must be a mapping of event names, not {describe(one.body)}")
            continue
        for name, body in one.body.items():
            if not isinstance(body, dict):
                yield Problem((*at, name), "wrong-type", f"must be a mapping, not {describe(body)}")
            elif one.Spec is not None:
                yield from problems(one.Spec, body, (*at, name))


def check_filter(path: Path, filtered: Filter | None) -> Iterator[Problem]:
    """expr-lang is not built yet; an empty filter says nothing."""
    if filtered is not None and filtered.expression.strip():
        message = "filter.expression (expr-lang) is not built yet; filter in the Sensor's dependency instead"
        yield Problem((*path, "filter", "expression"), "unsupported-field", message)


def check_webhook(named: Mapping[str, Webhook]) -> Iterator[Problem]:
    """All webhooks of one document: each by itself, and that no two want the same requests."""
    taken: dict[tuple[str, str, str], str] = {}
    for name, hook in named.items():
        path = ("spec", "webhook", name)
        yield from check_filter(path, hook.filter)
        yield from _check_hook(path, hook)
        route = (hook.port, _slashed(hook.endpoint), hook.method.upper() or "POST")
        other = taken.setdefault(route, name)
        if other != name:
            message = f"{route[2]} {route[1]} on this port goes to {other!r} already; change one of the endpoints"
            yield Problem((*path, "endpoint"), "duplicate-route", message)


def _slashed(endpoint: str) -> str:
    return endpoint if endpoint.startswith("/") else f"/{endpoint}"


def _check_hook(path: Path, hook: Webhook) -> Iterator[Problem]:
    if not hook.endpoint:
        yield Problem((*path, "endpoint"), "missing-field", "endpoint is missing; it is the path, like /example")
    try:
        Template(_slashed(hook.endpoint))
    except BadTemplate as error:
        yield Problem((*path, "endpoint"), "unsupported-field", str(error))
    if hook.method and hook.method.upper() not in METHODS:
        yield Problem((*path, "method"), "wrong-value", f"method {hook.method!r} is none of GET, POST")
    if hook.port and not (hook.port.isdecimal() and 0 < int(hook.port) < 65536):
        yield Problem((*path, "port"), "wrong-value", f"port {hook.port!r} is no number from 1 to 65535")
    if hook.max_payload_size < 0:
        yield Problem((*path, "maxPayloadSize"), "wrong-value", "maxPayloadSize is in bytes, and not negative")
    for field in ("serverCertSecret", "serverKeySecret"):
        if (hook.server_cert_secret if field == "serverCertSecret" else hook.server_key_secret) is not None:
            message = f"{field}: serving TLS is not built yet; put a proxy that ends TLS in front"
            yield Problem((*path, field), "unsupported-field", message)
    yield from _check_secret((*path, "authSecret"), hook.auth_secret, required=False)


def _check_secret(path: Path, secret: KeySelector | None, *, required: bool) -> Iterator[Problem]:
    if secret is None:
        if required:
            yield Problem(path, "missing-field", f"{path[-1]} is missing: {{name: SECRET, key: KEY}}")
    elif not secret.name or not secret.key:
        yield Problem(path, "missing-field", f"{path[-1]} wants both name and key of a Secret")


def check_file(path: Path, file: File, *, ours: bool) -> Iterator[Problem]:
    """One file source."""
    where = (*path, "watchPathConfig")
    watch = file.watch_path_config
    if not watch.directory:
        yield Problem(where, "missing-field", "directory is missing")
    elif not (ours or watch.directory.startswith("/")):
        message = "directory must be an absolute path; retrain.dev/v1 takes one relative to the project, too"
        yield Problem((*where, "directory"), "wrong-value", message)
    if bool(watch.path) == bool(watch.path_regexp) and not (ours and not watch.path):
        yield Problem(where, "wrong-value", "give one of path (a file's name) and pathRegexp")
    if "/" in watch.path:
        message = "path is the name of a file in the directory; folders below it are not watched"
        yield Problem((*where, "path"), "unsupported-field", message)
    if watch.path_regexp:
        yield from _check_regexp((*where, "pathRegexp"), watch.path_regexp)
    if not file.event_type and not ours:
        yield Problem(path, "missing-field", f"eventType is missing; it is one of {', '.join(OPS)}")
    for word in file.event_type.split("|") if file.event_type else ():
        if word not in OPS:
            yield Problem((*path, "eventType"), "wrong-value", f"eventType {word!r} is none of {', '.join(OPS)}")
    if file.settle is not None:
        yield from _check_duration((*path, "settle"), file.settle)
    yield from _check_ours(path, file, ours=ours)


def _check_regexp(path: Path, pattern: str) -> Iterator[Problem]:
    try:
        re2.compile(pattern, _quiet())
    except re2.error as error:
        text = str(cast("object", error)).removeprefix("b'").removesuffix("'")
        yield Problem(path, "wrong-value", f"{pattern!r} is no regular expression (RE2): {text}")


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def check_minio(path: Path, minio: Minio, *, ours: bool) -> Iterator[Problem]:
    """One MinIO source."""
    if not minio.endpoint:
        yield Problem(path, "missing-field", "endpoint is missing: host:port of the MinIO server")
    elif "://" in minio.endpoint or "/" in minio.endpoint:
        message = f"endpoint {minio.endpoint!r} is host:port, without scheme and path; `insecure: true` means http"
        yield Problem((*path, "endpoint"), "wrong-value", message)
    if minio.bucket is None or not minio.bucket.name:
        yield Problem((*path, "bucket"), "missing-field", "bucket.name is missing")
    yield from _check_secret((*path, "accessKey"), minio.access_key, required=True)
    yield from _check_secret((*path, "secretKey"), minio.secret_key, required=True)
    yield from _check_secret((*path, "caCertificate"), minio.ca_certificate, required=False)
    for index, event in enumerate(minio.events):
        if not event.startswith("s3:"):
            message = f"{event!r} is no event of S3; they look like s3:ObjectCreated:*"
            yield Problem((*path, "events", index), "wrong-value", message)
    yield from _check_ours(path, minio, ours=ours)


def _check_ours(path: Path, source: File | Minio, *, ours: bool) -> Iterator[Problem]:
    for field in ("settle", "existing", "reconcile"):
        if not ours and field in source.model_fields_set:
            yield Problem((*path, field), "unknown-field", f"{field} is of retrain.dev/v1; change apiVersion to use it")
    if source.existing not in (None, "emit", "skip"):
        yield Problem((*path, "existing"), "wrong-value", "existing is emit or skip")
    if source.reconcile is not None:
        yield from _check_duration((*path, "reconcile", "every"), source.reconcile.every, least=1.0)


def _check_duration(path: Path, text: str, least: float = 0.0) -> Iterator[Problem]:
    try:
        length = seconds(text)
    except ValueError as error:
        yield Problem(path, "wrong-value", str(error))
    else:
        if length < least:
            yield Problem(path, "wrong-value", f"{text!r} is too short; {least:g}s is the least")
