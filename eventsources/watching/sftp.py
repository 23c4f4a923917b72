"""The sftp source: files on an SSH server. What a user writes; sftp_source.py runs it, sftp_client.py lists files.

Source of payload and fields: pkg/eventsources/sources/sftp of Argo Events.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventsources.fields import (
    Filter,
    Limits,
    Path,
    check_duration,
    check_existing,
    check_regexp,
    check_secret,
    only_ours,
)
from eventsources.watching.file import WatchPath
from retrain.manifests import Problem
from retrain.manifests.argo import KeySelector, Shape

OPS = {"CREATE": 1, "REMOVE": 4}
"""The operations that Argo Events tells of, with fsnotify's bits. A file that has changed is a CREATE, as there."""

EVERY = "10s"
SETTLE = "2s"


class Sftp(Shape):
    """Files in a directory of a server. `host_key`, `settle`, `existing`, `recursive`, `limits` are of retrain.dev/v1.

    `address` is a secret that holds host:port. `host_key` holds the server's public key, as in known_hosts or
    authorized_keys; without it the key that the server shows first is remembered, and no other is taken from then on.
    """

    username: KeySelector | None = None
    password: KeySelector | None = None
    ssh_key_secret: KeySelector | None = None
    address: KeySelector | None = None
    host_key: KeySelector | None = None
    watch_path_config: WatchPath = WatchPath()
    event_type: str = ""
    poll_interval_duration: str = ""
    settle: str | None = None
    existing: str | None = None
    recursive: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    limits: Limits | None = None


def check(path: Path, spec: Sftp, ours: bool) -> Iterator[Problem]:
    """What is wrong with one sftp source."""
    for name, secret in (("username", spec.username), ("address", spec.address)):
        yield from check_secret((*path, name), secret, required=True)
    for name, secret in (
        ("password", spec.password),
        ("sshKeySecret", spec.ssh_key_secret),
        ("hostKey", spec.host_key),
    ):
        yield from check_secret((*path, name), secret)
    if (spec.password is None) == (spec.ssh_key_secret is None):
        yield Problem(path, "missing-field", "give one of password and sshKeySecret")
    yield from _check_watch((*path, "watchPathConfig"), spec.watch_path_config, ours=ours)
    for word in spec.event_type.split("|") if spec.event_type else ():
        if word not in OPS:
            yield Problem((*path, "eventType"), "wrong-value", f"eventType {word!r} is none of {', '.join(OPS)}")
    if not spec.event_type and not ours:
        yield Problem(path, "missing-field", f"eventType is missing; it is one of {', '.join(OPS)}")
    yield from only_ours(path, spec, ("hostKey", "settle", "existing", "recursive"), ours=ours)
    if spec.poll_interval_duration:
        yield from check_duration((*path, "pollIntervalDuration"), spec.poll_interval_duration, least=0.1)
    if spec.settle is not None:
        yield from check_duration((*path, "settle"), spec.settle)
    yield from check_existing((*path, "existing"), spec.existing)


def _check_watch(path: Path, watch: WatchPath, *, ours: bool) -> Iterator[Problem]:
    if not watch.directory:
        yield Problem(path, "missing-field", "directory is missing")
    if bool(watch.path) == bool(watch.path_regexp) and not (ours and not watch.path):
        yield Problem(path, "wrong-value", "give one of path (a file's name) and pathRegexp")
    if watch.path_regexp:
        yield from check_regexp((*path, "pathRegexp"), watch.path_regexp)
