"""What a Promotion says of pull requests: on which forge, with which token, and who merges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator, model_validator

from deploy import render
from deploy.git.spec import Commit, Repo, Secret
from deploy.names import check_server, is_loopback
from deploy.shape import Shape, allow
from retrain.manifests import Problem

ForgeName = Literal["gitea", "github", "gitlab", "bitbucket"]

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+")
_LABEL = re.compile(r"[^,\x00-\x1f\x7f]{1,50}")
_PERSON = re.compile(r"[A-Za-z0-9_.:/{}-]{1,100}")


class GithubApp(Shape):
    """A GitHub App that is installed in the repository, in place of a token."""

    appID: int = Field(gt=0)
    installationID: int = Field(gt=0)
    privateKey: Secret


class PullRequestSpec(Shape):
    """Propose changes by pull request instead of pushing to the branch.

    `url` is the API's address: needed for Gitea and Forgejo (`https://host/api/v1`), GitHub Enterprise Server
    (`https://host/api/v3`) and self-hosted GitLab (`https://host/api/v4`). `approvals`: how many of `approvers` have to
    approve there before the platform merges by itself. `title` may hold `{{candidate.version}}` and the like.
    `username` makes the token a password (Bitbucket's API tokens). `commits: api`: GitHub makes and signs the commit.
    """

    forge: ForgeName
    url: str | None = None
    repository: str
    token: Secret | None = None
    username: str | None = None
    githubApp: GithubApp | None = None
    caCert: Secret | None = None
    insecureHttp: bool = False
    labels: tuple[str, ...] = Field(default=(), max_length=20)
    reviewers: tuple[str, ...] = Field(default=(), max_length=20)
    title: str | None = None
    autoMerge: bool = False
    approvals: int = Field(default=0, ge=0, le=20)
    approvers: tuple[str, ...] = Field(default=(), max_length=100)
    method: Literal["merge", "squash", "rebase"] = "merge"
    deleteBranch: bool = True
    commits: Literal["git", "api"] = "git"

    @field_validator("repository")
    @classmethod
    def _allowed_repository(cls, value: str) -> str:
        parts = value.split("/")
        right = _REPOSITORY.fullmatch(value) and not any(part in {".", ".."} for part in parts)
        return allow(value, None if right else "is no repository; write owner/name (GitLab: the project's full path)")

    @field_validator("labels")
    @classmethod
    def _allowed_labels(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            allow(value, None if _LABEL.fullmatch(value) else "is no label: 1 to 50 characters, without commas")
        return values

    @field_validator("reviewers", "approvers")
    @classmethod
    def _allowed_people(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            allow(value, None if _PERSON.fullmatch(value) else "is no user of a forge")
        return values

    @field_validator("title")
    @classmethod
    def _allowed_title(cls, value: str | None) -> str | None:
        return value if value is None else allow(value, render.check(value) if value.strip() else "is empty")

    @field_validator("url")
    @classmethod
    def _allowed_url(cls, value: str | None) -> str | None:
        return value if value is None else allow(value, check_server(value, "an API"))

    @model_validator(mode="after")
    def _fits(self) -> PullRequestSpec:
        for why in (self._login(), self._place(), self._ways()):
            if why:
                raise ValueError(why)
        return self

    def _login(self) -> str:
        if self.githubApp is not None and self.forge != "github":
            return f"githubApp is GitHub's; give {self.forge} a token"
        if (self.token is None) == (self.githubApp is None):
            return "give a token or a githubApp, one of the two" if self.forge == "github" else "token is missing"
        if self.username is not None and self.forge != "bitbucket":
            return f"username is for Bitbucket's API tokens; {self.forge} takes a token alone"
        return ""

    def _place(self) -> str:
        if self.forge == "gitea" and self.url is None:
            return "url is missing: the address of Gitea's API, such as https://git.example.org/api/v1"
        if self.forge != "gitlab" and self.repository.count("/") != 1:
            return f"repository {self.repository!r} must be owner/name"
        if self.url is not None and self.url.startswith("http:") and not (self.insecureHttp or is_loopback(self.url)):
            return "url is http: the token would be readable on its way; use https, or set insecureHttp: true"
        return ""

    def _ways(self) -> str:
        if self.forge == "gitlab" and self.method == "rebase":
            return "GitLab merges by rebase only where the project is set so; write method: merge or squash"
        if self.commits == "api" and self.forge != "github":
            return f"commits: api is GitHub's createCommitOnBranch; {self.forge} takes commits by git"
        if self.approvals > len(self.approvers):
            return f"approvals: {self.approvals} needs as many approvers; name who may approve on the forge"
        return ""


def check(wanted: PullRequestSpec, repo: Repo, commit: Commit, here: tuple[str | int, ...]) -> Iterator[Problem]:
    """What does not go together with the repository and the commits. `here`: where it stands."""
    if commit.tag:
        message = "commit.tag: with pullRequest the forge makes the last commit, and there is none of ours to tag"
        yield Problem((*here, "pullRequest"), "unsupported-field", message)
    if wanted.commits == "api" and commit.sign is not None:
        message = "commits: api: GitHub signs what it commits; take out commit.sign, or write commits: git"
        yield Problem((*here, "pullRequest", "commits"), "unsupported-field", message)
    path = re.sub(r"(?:\.git)?/*$", "", repo.url).casefold()
    if not re.search(rf"(?:^|[/:]){re.escape(wanted.repository.casefold())}$", path):
        message = (
            f"the branch is pushed to {repo.url}, the pull request is opened in {wanted.repository}: not the same?"
        )
        yield Problem((*here, "pullRequest", "repository"), "other-repository", message, "warning")
