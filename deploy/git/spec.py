"""What a Promotion says of its repository and its commits."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field, field_validator, model_validator

from deploy.names import check_branch, check_url, one_line, scheme
from deploy.shape import Shape, allow
from retrain.events import JsonValue
from retrain.manifests import Problem

_NO = r"<>\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069"
_PERSON = re.compile(rf"[^{_NO}]*[^{_NO} .,:;'\"][^{_NO}]*")
_EMAIL = re.compile(rf"[^{_NO}\s]+@[^{_NO}\s]+")


class KeyRef(Shape):
    """A key of a Secret: from the environment, from mounted files or from the project, as everywhere."""

    name: str = Field(min_length=1)
    key: str = Field(min_length=1)


class Secret(Shape):
    """A value that is not written in the manifest: exactly one of the three. A trailing line end is not part of it."""

    secretKeyRef: KeyRef | None = None
    env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    file: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if sum(one is not None for one in (self.secretKeyRef, self.env, self.file)) != 1:
            raise ValueError("write exactly one of secretKeyRef, env and file")
        return self

    def __str__(self) -> str:
        if self.secretKeyRef is not None:
            return f"secret {self.secretKeyRef.name}/{self.secretKeyRef.key}"
        return f"environment variable {self.env}" if self.env is not None else f"file {self.file}"


class Ssh(Shape):
    """A private key without a passphrase, and the server's host keys as `ssh-keyscan` prints them."""

    key: Secret
    knownHosts: Secret


class Credentials(Shape):
    """How to get in: `password` or `token` by https (with a token, any user will do for most forges), or `ssh`."""

    username: Secret | str | None = None
    password: Secret | None = None
    token: Secret | None = None
    ssh: Ssh | None = None

    @model_validator(mode="after")
    def _one(self) -> Credentials:
        if sum(one is not None for one in (self.password, self.token, self.ssh)) != 1:
            raise ValueError("write exactly one of password, token and ssh")
        if self.password is not None and self.username is None:
            raise ValueError("a password goes with a username")
        if self.ssh is not None and self.username is not None:
            raise ValueError("the user of an ssh address stands in its url")
        return self

    @field_validator("username")
    @classmethod
    def _plain(cls, value: Secret | str | None) -> Secret | str | None:
        if isinstance(value, str):
            allow(value, None if value and value == one_line(value) else "is no user name")
        return value


class Repo(Shape):
    """The deployment repository. Without `credentials` git uses none, or the ssh agent's.

    `ca`: certificates (PEM) of the authority that signed the server's, where the machine does not know it.
    """

    url: str
    branch: str = "main"
    credentials: Credentials | None = None
    ca: Secret | None = None

    @field_validator("url")
    @classmethod
    def _allowed_url(cls, value: str) -> str:
        return allow(value, check_url(value))

    @field_validator("branch")
    @classmethod
    def _allowed_branch(cls, value: str) -> str:
        return allow(value, check_branch(value))


class SshSigning(Shape):
    """`key`: a private SSH key without a passphrase."""

    key: Secret


class GpgSigning(Shape):
    """`key`: a private key as `gpg --armor --export-secret-keys` prints it, without a passphrase. `keyId` names it."""

    key: Secret
    keyId: str = Field(pattern=r"^(?:0x)?[0-9A-Fa-f]{16,40}$")


class Sign(Shape):
    """How commits are signed. One that cannot be signed is not pushed."""

    ssh: SshSigning | None = None
    gpg: GpgSigning | None = None

    @model_validator(mode="after")
    def _one(self) -> Sign:
        if (self.ssh is None) == (self.gpg is None):
            raise ValueError("write exactly one of ssh and gpg")
        return self


class Provenance(Shape):
    """An in-toto statement (SLSA provenance v1) beside the record. `key`: a private key, PEM or OpenSSH, that signs it.

    `sigstore` is known and refused.
    """

    key: Secret | None = None
    builder: str = Field(default="https://retrain.dev/promoter", max_length=500)
    sigstore: JsonValue = None


class Commit(Shape):
    """The commit's words and its author, who is the committer too.

    `tag`: also push an annotated tag `<name>@<environment>/<n>`, in the same step as the branch. `holds`: show in the
    repository what is held, by commits of their own.
    """

    message: str = Field(default="promote({{promotion.name}}): {{candidate.digest}} in {{promotion.environment}}")
    name: str = "Retrain"
    email: str = "retrain@localhost"
    sign: Sign | None = None
    tag: bool = False
    holds: bool = False
    provenance: Provenance | None = None

    @field_validator("name")
    @classmethod
    def _person(cls, value: str) -> str:
        return allow(value, None if _PERSON.fullmatch(value) else "is no name that git can store")

    @field_validator("email")
    @classmethod
    def _address(cls, value: str) -> str:
        return allow(value, None if _EMAIL.fullmatch(value) else "is no e-mail address")


def check(repo: Repo, commit: Commit) -> Iterator[Problem]:
    """What is wrong between the fields: credentials that do not fit the address, and what is not built."""
    given, how = repo.credentials, scheme(repo.url)
    place = ("spec", "repo", "credentials")
    if given is not None and how == "path":
        yield Problem(place, "unsupported-field", "repo.credentials: a path on this machine needs none; take them out")
    elif given is not None and (how == "ssh") != (given.ssh is not None):
        right = "ssh: {key, knownHosts}" if how == "ssh" else "password or token"
        yield Problem(place, "unsupported-field", f"repo.credentials: an address by {how} takes {right}")
    if repo.ca is not None and how != "https":
        yield Problem(("spec", "repo", "ca"), "unsupported-field", "repo.ca: only https has certificates")
    provenance = commit.provenance
    if provenance is not None and provenance.sigstore is not None:
        message = "commit.provenance.sigstore is not built; sign with a key of your own: provenance: {key: ...}"
        yield Problem(("spec", "commit", "provenance", "sigstore"), "unsupported-field", message)
