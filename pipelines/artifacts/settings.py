"""Where artifacts are kept when a workflow does not say: settings, and the entries of `artifact-repositories`.

Both have the shape of Argo's `artifactRepository`: `{s3: {bucket, endpoint, ...}}`. Nothing at all is the local
repository under the data directory.

Source: https://argo-workflows.readthedocs.io/en/latest/configure-artifact-repository/
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pipelines.artifacts.limits import GIB

KEY_FORMAT = "{{workflow.name}}/{{pod.name}}"

Count = Annotated[int, Field(gt=0)]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretKey(_Group):
    """A key of a Secret."""

    name: str
    key: str
    optional: bool | None = None


class S3Repository(_Group):
    """A bucket on S3 or MinIO."""

    bucket: str
    endpoint: str
    region: str | None = None
    insecure: bool = False
    accessKeySecret: SecretKey | None = None
    secretKeySecret: SecretKey | None = None
    sessionTokenSecret: SecretKey | None = None
    caSecret: SecretKey | None = None
    useSDKCreds: bool = False
    addressingStyle: str | None = None
    createBucketIfNotPresent: dict[str, bool] | None = None
    keyFormat: str = KEY_FORMAT
    keyPrefix: str | None = None


class GCSRepository(_Group):
    """A bucket on Google Cloud Storage."""

    bucket: str
    serviceAccountKeySecret: SecretKey | None = None
    keyFormat: str = KEY_FORMAT


class ArtifactoryRepository(_Group):
    """A folder on a server that takes PUT and gives by GET."""

    repoURL: str
    usernameSecret: SecretKey | None = None
    passwordSecret: SecretKey | None = None
    keyFormat: str = KEY_FORMAT


class RepositorySpec(_Group):
    """One repository; at most one kind of it."""

    archiveLogs: bool | None = None
    s3: S3Repository | None = None
    gcs: GCSRepository | None = None
    artifactory: ArtifactoryRepository | None = None


class ArtifactSettings(RepositorySpec):
    """`pipelines.artifacts`: the default repository, and how the local one keeps house."""

    keep_days: Count | None = None
    """Days that artifacts stay in the local repository under keys no workflow chose; None: as long as their run."""
    sync: bool = False
    """Whether the disk has an artifact before the step counts as ended: for power cuts."""
    max_bytes: Count = 100 * GIB
    """Bytes that an archive may unpack to, and that an HTTP server may send."""
    gcs_url: str = "https://storage.googleapis.com"
    """Where Google Cloud Storage is."""
