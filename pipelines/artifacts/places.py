"""From an artifact as it is written to the place where it lies. One function for each kind of location.

Where upstream would look into the run's repository, we do too: for a bare key, and for an `s3` or `gcs` without its
endpoint or bucket. Also for `plugin`: there are no plugins here, and the log says so. `azure`, `oss` and `hdfs` are
refused by name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.artifacts.limits import Limits
from pipelines.artifacts.local import LocalRepository
from pipelines.artifacts.local_place import LocalPlace
from pipelines.artifacts.place import PAUSES_S, Place
from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, BadArtifact
from pipelines.artifacts.raw import RawPlace
from pipelines.artifacts.repositories import default_folder, repository_of
from pipelines.artifacts.secrets import Secrets
from pipelines.artifacts.settings import ArtifactSettings, RepositorySpec
from pipelines.core.nodes import Artifact
from retrain.errors import ConfigError
from retrain.log import get_logger

if TYPE_CHECKING:  # the clients take longer to import than most runs take
    from urllib3 import PoolManager

    from pipelines.artifacts.gcs import Account
    from pipelines.artifacts.http import Login
    from pipelines.artifacts.s3 import Server

log = get_logger()

KINDS = ("raw", "http", "git", "artifactory", "s3", "gcs", "plugin")
REFUSED = ("azure", "oss", "hdfs")


@dataclass(slots=True)
class Surroundings:
    """What all places need."""

    local: LocalRepository
    secrets: Secrets
    settings: ArtifactSettings
    limits: Limits
    scratch: Path
    """Where files are put together before they go somewhere else."""
    environ: Mapping[str, str]
    """For `git`: PATH and proxies."""
    pauses: tuple[float, ...] = PAUSES_S
    accounts: dict[str, Account] = field(default_factory=lambda: dict[str, "Account"](), repr=False)
    """Service accounts with their tokens, by their keys."""
    pools: dict[str, PoolManager] = field(default_factory=lambda: dict[str, "PoolManager"]())


@dataclass(frozen=True, slots=True)
class Found:
    """A place, and how an artifact says that it lies there."""

    place: Place
    location: Mapping[str, Any]
    named: bool = True
    """The workflow names the key itself."""


def kind_of(artifact: Artifact) -> str | None:
    """The artifact's kind of location; None if it has none.

    Raises:
        BadArtifact: it has several, or one that is refused.
    """
    for kind in REFUSED:
        if artifact.get(kind):
            raise BadArtifact(f"{kind} is not built; there are {', '.join(KINDS)}")
    kinds = [kind for kind in KINDS if artifact.get(kind) is not None]
    if len(kinds) > 1:
        raise BadArtifact(f"it has several locations: {', '.join(kinds)}")
    return kinds[0] if kinds else None


def find_place(artifact: Artifact, run: ArtifactRun, around: Surroundings, file_name: str | None = None) -> Found:
    """Where the artifact lies or, with a `file_name`, is to be kept.

    Raises:
        BadArtifact, ConfigError: it says nothing that can be used.
    """
    kind = kind_of(artifact)
    if kind is None and file_name is None:
        raise ArtifactMissing(f"required artifact '{artifact.get('name')}' not supplied")
    spec: Mapping[str, Any] = (artifact.get(kind) or {}) if kind else {}
    if kind is not None and kind in _PLACES:
        return Found(_PLACES[kind](spec, around), {kind: spec})
    if kind == "plugin":
        log.warning("artifact.plugin", plugin=spec.get("name"), reason="not run: the run's repository is used")
    elif kind is None:
        kind, spec = _archive_location(run.location)
    repository = repository_of(run, around.secrets, around.settings)
    key = str((artifact.get(kind or "") or {}).get("key") or "")
    named = bool(key)
    if not key and file_name is not None:
        key = posixpath.join(str(spec.get("key") or default_folder(run, repository)), file_name)
    if kind is not None and kind in _BUCKETS and _is_whole(kind, spec):
        return Found(_BUCKETS[kind](spec, key, around), {kind: {**spec, "key": key}}, named)
    return _in_repository(repository, key, named, around)


def _archive_location(location: Mapping[str, Any] | None) -> tuple[str | None, Mapping[str, Any]]:
    """What a template's `archiveLocation` says of a bucket."""
    for kind in ("s3", "gcs"):
        if location and location.get(kind):
            return kind, location[kind]
    return None, {}


def _is_whole(kind: str, spec: Mapping[str, Any]) -> bool:
    """Whether it says by itself which bucket of which server it is."""
    return bool(spec.get("bucket")) and (kind == "gcs" or bool(spec.get("endpoint")))


def _in_repository(repository: RepositorySpec, key: str, named: bool, around: Surroundings) -> Found:
    for kind in ("s3", "gcs"):
        spec = getattr(repository, kind)
        if spec is not None:
            place = _BUCKETS[kind](spec.model_dump(exclude_none=True), key, around)
            return Found(place, {kind: {"key": key}}, named)
    if repository.artifactory is not None:
        spec = repository.artifactory.model_dump(exclude_none=True, exclude={"keyFormat", "repoURL"})
        spec["url"] = posixpath.join(repository.artifactory.repoURL, key)
        return Found(_artifactory(spec, around), {"artifactory": spec}, named)
    return Found(LocalPlace(around.local, key), {"s3": {"key": key}}, named)


# ---- one for each kind ----


def _raw(spec: Mapping[str, Any], around: Surroundings) -> Place:
    del around
    return RawPlace(str(spec.get("data") or ""))


def _git(spec: Mapping[str, Any], around: Surroundings) -> Place:
    from pipelines.artifacts.git import GitPlace, Wish
    from pipelines.artifacts.git_program import Access

    value = around.secrets.value
    access = Access(
        value(spec.get("usernameSecret"), "git.usernameSecret"),
        value(spec.get("passwordSecret"), "git.passwordSecret"),
        value(spec.get("sshPrivateKeySecret"), "git.sshPrivateKeySecret"),
        bool(spec.get("insecureIgnoreHostKey")),
        bool(spec.get("insecureSkipTLS")),
    )
    return GitPlace(Wish.read(spec), access, around.environ, around.scratch, around.pauses)


def _http(spec: Mapping[str, Any], around: Surroundings) -> Place:
    from pipelines.artifacts.http import HttpPlace

    headers = {str(one.get("name")): str(one.get("value", "")) for one in spec.get("headers") or ()}
    return HttpPlace(
        str(spec.get("url") or ""), headers, _login(spec.get("auth") or {}, around), around.limits, around.pauses
    )


def _login(auth: Mapping[str, Any], around: Surroundings) -> Login:
    from pipelines.artifacts.http import Login, OAuth

    value = around.secrets.value
    basic, oauth, certificate = (auth.get(kind) or {} for kind in ("basicAuth", "oauth2", "clientCert"))
    token = None
    if oauth:
        url, user, secret = (
            value(oauth.get(name), f"http.auth.oauth2.{name}")
            for name in ("tokenURLSecret", "clientIDSecret", "clientSecretSecret")
        )
        if url is None or user is None or secret is None:
            raise ConfigError("http.auth.oauth2: needs tokenURLSecret, clientIDSecret and clientSecretSecret")
        more = {str(one["key"]): str(one.get("value", "")) for one in oauth.get("endpointParams") or ()}
        token = OAuth(url, user, secret, tuple(oauth.get("scopes") or ()), more)
    return Login(
        value(basic.get("usernameSecret"), "http.auth.basicAuth.usernameSecret"),
        value(basic.get("passwordSecret"), "http.auth.basicAuth.passwordSecret"),
        token,
        value(certificate.get("clientCertSecret"), "http.auth.clientCert.clientCertSecret"),
        value(certificate.get("clientKeySecret"), "http.auth.clientCert.clientKeySecret"),
    )


def _artifactory(spec: Mapping[str, Any], around: Surroundings) -> Place:
    from pipelines.artifacts.http import HttpPlace, Login

    user = around.secrets.value(spec.get("usernameSecret"), "artifactory.usernameSecret")
    password = around.secrets.value(spec.get("passwordSecret"), "artifactory.passwordSecret")
    return HttpPlace(str(spec.get("url") or ""), {}, Login(user, password), around.limits, around.pauses)


def _s3(spec: Mapping[str, Any], key: str, around: Surroundings) -> Place:
    from pipelines.artifacts.bucket_place import BucketPlace
    from pipelines.artifacts.s3 import S3Bucket

    for field_name in ("roleARN", "encryptionOptions"):
        if spec.get(field_name):
            raise BadArtifact(f"s3.{field_name} is not built: give keys, or useSDKCreds")
    make = spec.get("createBucketIfNotPresent") is not None
    return BucketPlace(S3Bucket(_server(spec, around.secrets), str(spec["bucket"]), make), key, around.pauses)


def _server(spec: Mapping[str, Any], secrets: Secrets) -> Server:
    from pipelines.artifacts.s3 import Server

    return Server(
        str(spec["endpoint"]),
        not spec.get("insecure"),
        spec.get("region") or None,
        secrets.value(spec.get("accessKeySecret"), "s3.accessKeySecret"),
        secrets.value(spec.get("secretKeySecret"), "s3.secretKeySecret"),
        secrets.value(spec.get("sessionTokenSecret"), "s3.sessionTokenSecret"),
        secrets.value(spec.get("caSecret"), "s3.caSecret"),
        bool(spec.get("useSDKCreds")),
        spec.get("addressingStyle"),
    )


def _gcs(spec: Mapping[str, Any], key: str, around: Surroundings) -> Place:
    from urllib3 import PoolManager, Timeout

    from pipelines.artifacts.bucket_place import BucketPlace
    from pipelines.artifacts.gcs import CONNECT_S, READ_S, Account, GcsBucket

    text = around.secrets.value(spec.get("serviceAccountKeySecret"), "gcs.serviceAccountKeySecret")
    account = None
    if text is not None:
        account = around.accounts.get(text) or around.accounts.setdefault(text, Account.read(text))
    pool = around.pools.setdefault("gcs", PoolManager(timeout=Timeout(connect=CONNECT_S, read=READ_S), maxsize=8))
    return BucketPlace(GcsBucket(pool, around.settings.gcs_url, str(spec["bucket"]), account), key, around.pauses)


_PLACES: dict[str, Callable[[Mapping[str, Any], Surroundings], Place]] = {
    "raw": _raw,
    "git": _git,
    "http": _http,
    "artifactory": _artifactory,
}
_BUCKETS: dict[str, Callable[[Mapping[str, Any], str, Surroundings], Place]] = {"s3": _s3, "gcs": _gcs}
