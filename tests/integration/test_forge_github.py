"""What is GitHub's alone (commits by its API, Apps, its words), and the others' words: in documented shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from deploy.forges import Merge, NotMergeable, Opening, Race, Rejected, open_forge
from deploy.forges.github import GitHub
from deploy.forges.github_commit import graphql_of
from retrain.errors import ConfigError, NotFound
from tests.contract.forge_shapes import BitbucketShape, GitHubShape, GitLabShape
from tests.contract.forge_world import ShapeOutside, shaped

BRANCH = "promote/prod/digits/0123456789ab"
SPEC = {"forge": "github", "repository": "acme/deploy"}


@pytest.fixture
async def github() -> AsyncIterator[ShapeOutside]:
    async with shaped(SPEC, GitHubShape()) as made:
        yield made


@pytest.fixture
async def forge(github: ShapeOutside) -> AsyncIterator[GitHub]:
    async with open_forge(github.spec, github.secrets.vault, pauses_s=(0.01,)) as made:
        assert isinstance(made, GitHub)
        yield made


async def test_a_commit_by_the_api_is_made_once_and_only_where_it_was_judged(
    github: ShapeOutside, forge: GitHub
) -> None:
    base = await github.tip("main")
    assert base is not None
    await forge.move(BRANCH, None, base)

    sha = await forge.commit(
        BRANCH, base, {"a.yaml": b"uri: v2\n", "b.bin": b"bytes"}, "promote: v2\n\nRetrain-Intent: x"
    )
    with pytest.raises(Race):
        await forge.commit(BRANCH, base, {"a.yaml": b"uri: v3\n"}, "promote: v3")

    assert await github.tip(BRANCH) == sha
    assert await github.message(sha) == "promote: v2\n\nRetrain-Intent: x"
    assert github.world.commits[sha].files["a.yaml"] == "uri: v2\n"
    assert [one.path for one in github.asked][-1] == "/api/graphql"


async def test_a_branch_is_made_and_moved_only_from_where_it_was_seen(github: ShapeOutside, forge: GitHub) -> None:
    base = await github.tip("main")
    assert base is not None
    await forge.move(BRANCH, None, base)
    newer = await github.push(BRANCH, "a", "1")

    with pytest.raises(Race):
        await forge.move(BRANCH, None, base)
    with pytest.raises(Race):
        await forge.move(BRANCH, base, base)
    await forge.move(BRANCH, newer, base)

    assert await github.tip(BRANCH) == base


@pytest.mark.parametrize(
    ("errors", "kind"),
    [
        ([{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}], Rejected),
        ([{"type": "NOT_FOUND", "message": "Could not resolve to a Repository"}], NotFound),
        ([{"type": "STALE_DATA", "message": "Expected branch to point to x"}], Race),
        ([{"message": "Something went wrong"}], Rejected),
    ],
)
async def test_graphqls_errors_come_with_200(
    github: ShapeOutside, forge: GitHub, errors: list[dict[str, str]], kind: type[Exception]
) -> None:
    github.next_answers = [web.json_response({"data": None, "errors": errors})]

    with pytest.raises(kind) as told:
        await forge.commit(BRANCH, "0" * 40, {"a": b"b"}, "m")

    assert errors[0]["message"] in str(told.value)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.github.com", "https://api.github.com/graphql"),
        ("https://ghe.example.org/api/v3", "https://ghe.example.org/api/graphql"),
    ],
)
def test_where_graphql_is(base: str, url: str) -> None:
    assert graphql_of(base) == url


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (405, "Base branch was modified. Review and try the merge again.", Race),
        (409, "Head branch was modified. Review and try the merge again.", Race),
        (405, "Pull Request is not mergeable", NotMergeable),
        (405, "At least 1 approving review is required by reviewers with write access.", NotMergeable),
        (405, "Merge commits are not allowed on this repository.", NotMergeable),
    ],
)
async def test_a_merge_that_lost_a_race_is_told_from_one_that_may_not_be(
    github: ShapeOutside, forge: GitHub, status: int, said: str, kind: type[Exception]
) -> None:
    github.next_answers = [web.json_response({"message": said}, status=status)]

    with pytest.raises(kind) as told:
        await forge.merge(Merge(1, "0" * 40, "merge", "m"))

    assert said in str(told.value)


@pytest.mark.parametrize("status", [403, 422, 500])
async def test_a_branch_that_cannot_be_deleted_takes_nothing_from_the_merge(
    github: ShapeOutside, forge: GitHub, status: int
) -> None:
    github.next_answers = [web.json_response({"sha": "9" * 40, "merged": True}), web.json_response({}, status=status)]
    github.next_answers += [web.json_response({}, status=status)] * 2

    assert await forge.merge(Merge(1, "0" * 40, "merge", "m", delete_branch=True)) == "9" * 40


async def test_a_branch_that_moved_since_the_merge_is_left(github: ShapeOutside, forge: GitHub) -> None:
    await github.push(BRANCH, "a", "1")
    theirs = await github.push(BRANCH, "a", "2")
    shown = {"number": 1, "head": {"ref": BRANCH}}
    github.next_answers = [web.json_response({"sha": "9" * 40}), web.json_response(shown)]

    await forge.merge(Merge(1, "0" * 40, "merge", "m", delete_branch=True))

    assert await github.tip(BRANCH) == theirs


@pytest.mark.parametrize(
    ("state", "mergeable", "needs_base"),
    [
        ("clean", "yes", False),
        ("unstable", "yes", False),
        ("has_hooks", "yes", False),
        ("dirty", "no", True),
        ("behind", "no", True),
        ("blocked", "no", False),
        ("draft", "no", False),
        ("unknown", "unknown", False),
        ("something new", "unknown", False),
    ],
)
async def test_githubs_words_for_mergeable(
    github: ShapeOutside, forge: GitHub, state: str, mergeable: str, needs_base: bool
) -> None:
    shown: dict[str, Any] = {"number": 1, "state": "open", "mergeable": True, "mergeable_state": state}
    github.next_answers = [web.json_response(shown), web.json_response([])]

    pull = await forge.state(1)

    assert (pull.mergeable, pull.needs_base) == (mergeable, needs_base)
    assert bool(pull.why) == (mergeable != "yes")


async def test_a_review_that_was_dismissed_or_is_the_authors_own_does_not_count(
    github: ShapeOutside, forge: GitHub
) -> None:
    def review(who: str, state: str) -> dict[str, Any]:
        return {"user": {"login": who}, "state": state, "commit_id": "1" * 40, "submitted_at": "2026-11-21T12:00:00Z"}

    reviews = [
        review("ada", "CHANGES_REQUESTED"),
        review("ada", "APPROVED"),
        review("ada", "COMMENTED"),
        review("grace", "APPROVED"),
        review("grace", "DISMISSED"),
        review("retrain-bot", "APPROVED"),
    ]
    shown = {"number": 1, "state": "open", "user": {"login": "retrain-bot"}, "mergeable": None}
    github.next_answers = [web.json_response(shown), web.json_response(reviews)]

    pull = await forge.state(1)

    assert [one.who for one in pull.approvals] == ["ada"]
    assert pull.refusals == ()
    assert pull.mergeable == "unknown"


async def test_reviews_beyond_the_first_page_count(github: ShapeOutside, forge: GitHub) -> None:
    one = {"user": {"login": "ada"}, "state": "APPROVED", "commit_id": "1" * 40}
    two = {"user": {"login": "grace"}, "state": "APPROVED", "commit_id": "1" * 40}
    github.next_answers = [
        web.json_response({"number": 1, "state": "open"}),
        web.json_response([one], headers={"Link": '<https://x/?page=2>; rel="next", <https://x/?page=2>; rel="last"'}),
        web.json_response([two]),
    ]

    pull = await forge.state(1)

    assert {review.who for review in pull.approvals} == {"ada", "grace"}
    assert [request.query.get("page") for request in github.asked] == [None, "1", "2"]


def pem(key: Any) -> str:
    kind, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, plain).decode()


def app_spec(github: ShapeOutside) -> Any:
    app = {"appID": 1, "installationID": 2, "privateKey": {"secretKeyRef": {"name": "app", "key": "pem"}}}
    return type(github.spec).model_validate({**github.spec.model_dump(), "token": None, "githubApp": app})


async def test_an_app_gets_one_token_for_many_calls(github: ShapeOutside) -> None:
    github.secrets.values["app", "pem"] = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    assert isinstance(github.shape, GitHubShape)
    github.shape.tokens = ("installation-2",)

    async with open_forge(app_spec(github), github.secrets.vault) as forge:
        for _ in range(3):
            assert await forge.head("main") is not None

    assert [one.method for one in github.asked] == ["POST", "GET", "GET", "GET"]
    assert github.asked[0].headers["Authorization"].count(".") == 2
    assert {one.headers["Authorization"] for one in github.asked[1:]} == {"Bearer installation-2"}


async def test_an_apps_token_is_made_anew_before_it_ends(github: ShapeOutside) -> None:
    github.secrets.values["app", "pem"] = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    assert isinstance(github.shape, GitHubShape)
    github.shape.tokens = ("old", "installation-2")
    github.next_answers = [web.json_response({"token": "old", "expires_at": "2020-01-01T00:00:00Z"}, status=201)]

    async with open_forge(app_spec(github), github.secrets.vault) as forge:
        await forge.head("main")
        await forge.head("main")

    given = [one.headers["Authorization"] for one in github.asked if one.method == "GET"]
    assert given == ["Bearer old", "Bearer installation-2"]


@pytest.mark.parametrize("key", ["no key", "elliptic"])
async def test_an_apps_key_that_is_none(github: ShapeOutside, key: str) -> None:
    github.secrets.values["app", "pem"] = pem(ec.generate_private_key(ec.SECP256R1())) if key == "elliptic" else key

    async with open_forge(app_spec(github), github.secrets.vault) as forge:
        with pytest.raises(ConfigError, match="privateKey"):
            await forge.head("main")

    assert github.asked == []


@pytest.mark.parametrize(
    ("status", "mergeable", "needs_base"),
    [
        ("mergeable", "yes", False),
        ("checking", "unknown", False),
        ("preparing", "unknown", False),
        ("unchecked", "unknown", False),
        ("conflict", "no", True),
        ("need_rebase", "no", True),
        ("not_approved", "no", False),
        ("ci_still_running", "no", False),
        ("discussions_not_resolved", "no", False),
        ("draft_status", "no", False),
    ],
)
async def test_gitlabs_words_for_mergeable(status: str, mergeable: str, needs_base: bool) -> None:
    async with (
        shaped({"forge": "gitlab", "repository": "acme/models/deploy"}, GitLabShape()) as gitlab,
        open_forge(gitlab.spec, gitlab.secrets.vault) as forge,
    ):
        shown = {"iid": 1, "state": "opened", "detailed_merge_status": status}
        gitlab.next_answers = [web.json_response(shown), web.json_response({"approved_by": []})]

        pull = await forge.state(1)

    assert (pull.mergeable, pull.needs_base) == (mergeable, needs_base)


async def test_an_approval_of_gitlab_without_a_moment_belongs_to_no_commit() -> None:
    """Older GitLab does not say when: such an approval must not count for whatever was pushed after it."""
    async with (
        shaped({"forge": "gitlab", "repository": "acme/models/deploy"}, GitLabShape()) as gitlab,
        open_forge(gitlab.spec, gitlab.secrets.vault) as forge,
    ):
        await gitlab.push(BRANCH, "a", "1")
        made = await forge.open(Opening(BRANCH, "main", "t", "b"))
        shown = {"iid": made.number, "state": "opened", "author": {"username": "bot"}}
        approved = {"approved_by": [{"user": {"username": "ada"}}, {"user": {"username": "bot"}}]}
        gitlab.next_answers = [web.json_response(shown), web.json_response(approved)]

        pull = await forge.state(made.number)

    assert [(one.who, one.at, one.head_sha) for one in pull.approvals] == [("ada", None, None)]


async def test_a_merge_that_bitbucket_makes_later_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.forges.bitbucket.LOOKS_S", (0.01, 0.01))
    shape = BitbucketShape(later=True)
    async with (
        shaped({"forge": "bitbucket", "repository": "acme/deploy"}, shape) as bitbucket,
        open_forge(bitbucket.spec, bitbucket.secrets.vault) as forge,
    ):
        sha = await bitbucket.push(BRANCH, "a", "1")
        made = await forge.open(Opening(BRANCH, "main", "t", "b"))

        merged = await forge.merge(Merge(made.number, sha, "squash", "m"))

        assert merged == await bitbucket.tip("main")
