"""What goes in and comes out, as users write it: parameters and artifacts of `argoproj.io/v1alpha1`.

Texts may be written as bare numbers or booleans, which become text (`AnyString`). What belongs to a pod alone is
`Opaque`: it is carried and not looked into.

Source: https://argo-workflows.readthedocs.io/en/latest/fields/ (v4.1)
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pipelines.core.naming import go_text

Opaque = Any


def _as_text(value: Any) -> Any:
    return go_text(value) if isinstance(value, bool | int | float) else value


AnyString = Annotated[str, BeforeValidator(_as_text), WithJsonSchema({"type": ["string", "number", "boolean"]})]


class Model(BaseModel):
    # Built when a document of theirs comes, and then as parts of it: to build each by itself takes four times as long.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class ValueFrom(Model):
    configMapKeyRef: Opaque = None
    default: AnyString | None = None
    event: str | None = None
    expression: str | None = None
    jqFilter: str | None = None
    jsonPath: str | None = None
    parameter: str | None = None
    path: str | None = None
    supplied: Opaque = None


class Parameter(Model):
    name: AnyString = ""
    default: AnyString | None = None
    value: AnyString | None = None
    valueFrom: ValueFrom | None = None
    globalName: str | None = None
    enum: list[AnyString] | None = None
    description: AnyString | None = None


class SecretKey(Model):
    """A key of a Secret."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class S3Artifact(Model):
    bucket: str | None = None
    key: str | None = None
    endpoint: str | None = None
    region: str | None = None
    insecure: bool | None = None
    accessKeySecret: SecretKey | None = None
    secretKeySecret: SecretKey | None = None
    sessionTokenSecret: SecretKey | None = None
    useSDKCreds: bool | None = None
    roleARN: str | None = None
    caSecret: SecretKey | None = None
    addressingStyle: str | None = None
    createBucketIfNotPresent: Opaque = None
    encryptionOptions: Opaque = None


class GCSArtifact(Model):
    bucket: str | None = None
    key: str | None = None
    serviceAccountKeySecret: SecretKey | None = None


class GitArtifact(Model):
    repo: str = ""
    revision: str | None = None
    branch: str | None = None
    depth: int | None = None
    fetch: list[str] | None = None
    singleBranch: bool | None = None
    disableSubmodules: bool | None = None
    usernameSecret: SecretKey | None = None
    passwordSecret: SecretKey | None = None
    sshPrivateKeySecret: SecretKey | None = None
    insecureIgnoreHostKey: bool | None = None
    insecureSkipTLS: bool | None = None


class HTTPArtifact(Model):
    url: str = ""
    headers: list[Opaque] | None = None
    auth: Opaque = None
    saveStreamViaFile: bool | None = None


class RawArtifact(Model):
    data: AnyString = ""


class Archive(Model):
    """How a saved artifact is packed; nothing written is `tar`, with gzip."""

    none: Opaque = None
    tar: Opaque = None
    zip: Opaque = None


class Artifact(Model):
    name: AnyString = ""
    archive: Archive | None = None
    archiveLogs: bool | None = None
    artifactGC: Opaque = None
    artifactory: Opaque = None
    azure: Opaque = None
    deleted: bool | None = None
    from_: str | None = Field(default=None, alias="from")
    fromExpression: str | None = None
    gcs: GCSArtifact | None = None
    git: GitArtifact | None = None
    globalName: str | None = None
    hdfs: Opaque = None
    http: HTTPArtifact | None = None
    mode: int | None = None
    optional: bool | None = None
    oss: Opaque = None
    path: str | None = None
    plugin: Opaque = None
    raw: RawArtifact | None = None
    recurseMode: bool | None = None
    s3: S3Artifact | None = None
    subPath: str | None = None


class Arguments(Model):
    parameters: list[Parameter] | None = None
    artifacts: list[Artifact] | None = None


class Inputs(Arguments):
    pass


class Outputs(Arguments):
    exitCode: str | None = None
    result: str | None = None
