"""What users may write under `pullRequest`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deploy.forges import PullRequestSpec

TOKEN = {"secretKeyRef": {"name": "forge", "key": "token"}}
APP = {"appID": 1, "installationID": 2, "privateKey": {"env": "APP_KEY"}}
GITHUB = {"forge": "github", "repository": "acme/deploy", "token": TOKEN}
GITEA = {"forge": "gitea", "repository": "acme/deploy", "token": TOKEN, "url": "https://git.example.org/api/v1"}
GITLAB = {"forge": "gitlab", "repository": "acme/models/deploy", "token": TOKEN}
BITBUCKET = {"forge": "bitbucket", "repository": "acme/deploy", "token": TOKEN}


@pytest.mark.parametrize(
    "spec",
    [
        GITHUB,
        GITEA,
        GITLAB,
        BITBUCKET,
        {**BITBUCKET, "username": "bot@example.org", "reviewers": ["{4f1f}", "557058:aa"]},
        {"forge": "github", "repository": "acme/deploy", "githubApp": APP, "commits": "api"},
        {**GITHUB, "url": "https://ghe.example.org/api/v3", "method": "rebase", "labels": ["ml: prod"]},
        {**GITHUB, "autoMerge": True, "approvals": 2, "approvers": ["ada", "grace", "team-bot"]},
        {**GITEA, "url": "http://127.0.0.1:3000/api/v1"},
        {**GITEA, "url": "http://gitea.gitea.svc:3000/api/v1", "insecureHttp": True},
    ],
)
def test_what_is_right(spec: dict[str, Any]) -> None:
    assert PullRequestSpec.model_validate(spec).forge == spec["forge"]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({**GITHUB, "forge": "gerrit"}, "'gitea', 'github', 'gitlab' or 'bitbucket'"),
        ({**GITHUB, "repository": "acme"}, "is no repository"),
        ({**GITHUB, "repository": "acme/models/deploy"}, "must be owner/name"),
        ({**GITHUB, "repository": "acme/.."}, "is no repository"),
        ({**GITHUB, "repository": "../../admin"}, "is no repository"),
        ({**GITHUB, "repository": "acme/x?y=z"}, "is no repository"),
        ({**GITHUB, "token": None}, "give a token or a githubApp"),
        ({**GITHUB, "githubApp": APP}, "one of the two"),
        ({**GITLAB, "githubApp": APP}, "githubApp is GitHub's"),
        ({**GITLAB, "token": None}, "token is missing"),
        ({**GITHUB, "token": "ghp_plain"}, "token"),
        ({**GITLAB, "username": "bot"}, "username is for Bitbucket"),
        ({**GITEA, "url": None}, "url is missing"),
        ({**GITEA, "url": "http://git.example.org/api/v1"}, "insecureHttp"),
        ({**GITEA, "url": "https://user:secret@git.example.org/api/v1"}, "holds credentials"),
        ({**GITEA, "url": "file:///etc/passwd"}, "is no address of an API"),
        ({**GITEA, "url": "https://git.example.org/api/v1?x=1"}, "a query"),
        ({**GITEA, "url": "https://git.example.org:port/api"}, "is no URL"),
        ({**GITLAB, "method": "rebase"}, "merges by rebase only where the project"),
        ({**GITLAB, "commits": "api"}, "createCommitOnBranch"),
        ({**GITHUB, "approvals": 1}, "as many approvers"),
        ({**GITHUB, "labels": ["a,b"]}, "without commas"),
        ({**GITHUB, "reviewers": ["a b"]}, "no user of a forge"),
        ({**GITHUB, "title": "{{candidate.secret}}"}, "is not known"),
        ({**GITHUB, "reviewer": ["a"]}, "Extra inputs"),
    ],
)
def test_what_is_wrong_says_what_would_be_right(spec: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as told:
        PullRequestSpec.model_validate(spec)

    assert why in str(told.value)
