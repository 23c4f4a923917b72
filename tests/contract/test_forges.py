"""What every kind of forge promises: one suite over all of them, Gitea a real one, the others in documented shapes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import get_args

import anyio
import pytest

from deploy.forges import (
    KINDS,
    AuthFailed,
    Decoration,
    Forge,
    Merge,
    NotMergeable,
    Opening,
    PullRequest,
    PullRequestSpec,
    Race,
    Status,
    open_forge,
)
from deploy.forges.port import Method
from deploy.forges.spec import ForgeName
from deploy.forges.words import marked, marker
from retrain.errors import NotFound
from tests.contract import forge_gitea
from tests.contract.forge_shapes import BitbucketShape, GitHubShape, GitLabShape
from tests.contract.forge_world import Outside, shaped
from tests.servers.forge_servers import Gitea

BRANCH, FILE = "promote/prod/digits/0123456789ab", "apps/digits.yaml"
SHAPES = {
    "bitbucket": ({"forge": "bitbucket", "repository": "acme/deploy"}, BitbucketShape),
    "github": ({"forge": "github", "repository": "acme/deploy"}, GitHubShape),
    "gitlab": ({"forge": "gitlab", "repository": "acme/models/deploy"}, GitLabShape),
}
REAL = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(params=[pytest.param(name, marks=REAL if name == "gitea" else []) for name in sorted(KINDS)])
async def outside(request: pytest.FixtureRequest) -> AsyncIterator[Outside]:
    if request.param == "gitea":
        gitea: Gitea = request.getfixturevalue("gitea_server")
        yield await anyio.to_thread.run_sync(forge_gitea.outside, gitea)
        return
    spec, shape = SHAPES[request.param]
    async with shaped(spec, shape()) as made:
        yield made


@asynccontextmanager
async def reached(outside: Outside, **more: object) -> AsyncIterator[Forge]:
    spec = PullRequestSpec.model_validate({**outside.spec.model_dump(), **more})
    async with open_forge(spec, outside.secrets.vault, pauses_s=(0.05, 0.05)) as forge:
        yield forge


@pytest.fixture
async def forge(outside: Outside) -> AsyncIterator[Forge]:
    async with reached(outside) as made:
        yield made


async def opened(forge: Forge, title: str = "promote", body: str = "text", branch: str = BRANCH) -> PullRequest:
    """Open it. What was pushed a moment ago may not be seen yet: that is a race, and the caller's to repeat."""
    with anyio.fail_after(30):
        while True:
            try:
                return await forge.open(Opening(branch, "main", title, body))
            except Race:
                await anyio.sleep(0.2)


async def state(forge: Forge, number: int, fits: Callable[[PullRequest], bool]) -> PullRequest:
    """Its state, once it is as awaited: forges look at pushes behind our back."""
    with anyio.fail_after(30):
        while not fits(shown := await forge.state(number)):  # noqa: ASYNC110 - a forge tells nobody here
            await anyio.sleep(0.1)
    return shown


def test_every_kind_is_in_the_spec_and_in_the_table() -> None:
    assert set(KINDS) == set(get_args(ForgeName))


async def test_what_was_opened_is_found_by_its_branches(outside: Outside, forge: Forge) -> None:
    sha = await outside.push(BRANCH, FILE, "v2")
    before = await forge.find(BRANCH, "main")

    made = await opened(forge, "promote(digits): v2", "body")
    found = await forge.find(BRANCH, "main")

    assert before is None
    assert found is not None
    assert (found.number, found.state, found.head, found.base) == (made.number, "open", BRANCH, "main")
    assert (found.head_sha, found.title, found.body) == (sha, "promote(digits): v2", "body")
    assert found.author
    assert found.url.startswith("http")
    assert found.merge_sha is None
    assert await forge.find(BRANCH, "other") is None


async def test_the_same_is_not_opened_twice(outside: Outside, forge: Forge) -> None:
    await outside.push(BRANCH, FILE, "v2")
    await opened(forge)

    with pytest.raises(Race):
        await forge.open(Opening(BRANCH, "main", "again", ""))


async def test_its_words_are_written_anew_and_the_marker_stays_readable(outside: Outside, forge: Forge) -> None:
    await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)
    text = f"| a | `b` |\n\n{marker('a' * 64, 'p-1')}\n"

    await forge.update(made.number, "another title", text)
    shown = await forge.state(made.number)

    assert shown.title == "another title"
    assert marked(shown.body) == ("a" * 64, "p-1")


async def test_a_branch_tells_its_newest_commit(outside: Outside, forge: Forge) -> None:
    root = await outside.tip("main")
    sha = await outside.push(BRANCH, FILE, "v2", "subject\n\nRetrain-Intent: " + "a" * 64)

    head = await forge.head(BRANCH)

    assert head is not None
    assert (head.sha, head.parents) == (sha, (root,))
    assert head.message.strip().endswith("Retrain-Intent: " + "a" * 64)
    assert "@" in head.author
    assert await forge.head("promote/none") is None


async def test_an_approval_belongs_to_the_commit_that_it_was_given_to(outside: Outside, forge: Forge) -> None:
    first = await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)
    who = await outside.approve(made.number, first)
    approved = await state(forge, made.number, lambda pull: bool(pull.approvals))
    second = await outside.push(BRANCH, FILE, "v3")
    later = await state(forge, made.number, lambda pull: pull.head_sha == second)

    (review,) = approved.approvals
    assert (review.who, review.head_sha, review.at is not None) == (who, first, True)
    assert [one.head_sha for one in later.approvals] in ([first], [])


async def test_who_asks_for_changes_is_told(outside: Outside, forge: Forge) -> None:
    if outside.spec.forge == "gitlab":
        pytest.skip("GitLab's API tells no refusals; an unresolved thread shows in mergeable")
    sha = await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)

    who = await outside.approve(made.number, sha, yes=False)
    shown = await state(forge, made.number, lambda pull: bool(pull.refusals))

    assert [one.who for one in shown.refusals] == [who]
    assert not shown.approvals


@pytest.mark.parametrize("method", get_args(Method))
async def test_a_merge_puts_one_commit_on_the_base_and_says_which(
    outside: Outside, forge: Forge, method: Method
) -> None:
    if outside.spec.forge == "gitlab" and method == "rebase":
        pytest.skip("refused by the spec")
    sha = await outside.push(BRANCH, FILE, "v2", "ours: v2")
    made = await opened(forge)
    ready = await state(forge, made.number, lambda pull: pull.mergeable == "yes")

    merged = await forge.merge(Merge(made.number, ready.head_sha, method, "promote: v2\n\nRetrain-Intent: x", True))
    found = await forge.find(BRANCH, "main")

    assert found is not None
    assert (found.state, found.merge_sha, found.head_sha) == ("merged", merged, sha)
    assert merged == await outside.tip("main")
    wanted = "ours: v2" if method == "rebase" else "promote: v2\n\nRetrain-Intent: x"
    assert (await outside.message(merged)).strip() == wanted
    assert await outside.tip(BRANCH) is None


async def test_a_merge_of_another_commit_than_was_judged_is_a_race(outside: Outside, forge: Forge) -> None:
    judged = await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)
    newer = await outside.push(BRANCH, FILE, "v3")
    await state(forge, made.number, lambda pull: pull.head_sha == newer and pull.mergeable == "yes")
    base = await outside.tip("main")

    with pytest.raises(Race):
        await forge.merge(Merge(made.number, judged, "merge", "m"))

    assert await outside.tip("main") == base
    assert (await forge.state(made.number)).state == "open"


async def test_a_conflict_is_told_and_not_merged(outside: Outside, forge: Forge) -> None:
    await outside.push("main", FILE, "v1")
    await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)
    base = await outside.push("main", FILE, "v1b")
    shown = await state(forge, made.number, lambda pull: pull.mergeable == "no")

    assert shown.needs_base
    assert "conflict" in shown.why
    with pytest.raises(NotMergeable):
        await forge.merge(Merge(made.number, shown.head_sha, "merge", "m"))
    assert await outside.tip("main") == base


async def test_a_closed_one_is_closed_and_a_later_one_is_found_first(outside: Outside, forge: Forge) -> None:
    await outside.push(BRANCH, FILE, "v2")
    first = await opened(forge)
    await outside.close(first.number)
    closed = await forge.find(BRANCH, "main")
    second = await opened(forge)
    await forge.close(second.number)
    third = await opened(forge)

    assert closed is not None
    assert (closed.number, closed.state, closed.merge_sha) == (first.number, "closed", None)
    by_us = await forge.state(second.number)
    assert by_us.state == "closed"
    assert by_us.closed_by
    assert (await forge.state(third.number)).closed_by is None
    found = await forge.find(BRANCH, "main")
    assert found is not None
    assert found.number == third.number


async def test_labels_and_reviewers_are_asked_for_and_what_failed_is_said(outside: Outside, forge: Forge) -> None:
    await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)

    fine = await forge.decorate(made.number, Decoration(("retrain", "prod"), ("ada",)))
    wrong = await forge.decorate(made.number, Decoration((), ("nobody-of-this-name",)))

    assert fine == (("labels: Bitbucket has none",) if outside.spec.forge == "bitbucket" else ())
    assert len(wrong) == 1
    assert wrong[0].startswith("reviewers: ")
    assert await forge.decorate(made.number, Decoration()) == ()


async def test_comments_and_statuses_are_taken(outside: Outside, forge: Forge) -> None:
    sha = await outside.push(BRANCH, FILE, "v2")
    made = await opened(forge)

    await forge.comment(made.number, "superseded by v3")
    for one in ("pending", "success", "failure", "error"):
        await forge.set_status(Status(sha, one, "retrain/gates", "7 of 7 gates", "https://retrain.example.org/p/1"))  # type: ignore[arg-type]
    await forge.set_status(Status(sha, "success", "retrain/other"))


async def test_a_wrong_token_is_told_and_not_shown(outside: Outside) -> None:
    outside.secrets.values["forge", "token"] = "wrong-token-000"

    async with reached(outside) as forge:
        with pytest.raises(AuthFailed) as told:
            await forge.open(Opening(BRANCH, "main", "t", "b"))

    assert "401" in str(told.value)
    assert "wrong-token-000" not in str(told.value)


async def test_a_secret_that_is_changed_is_used_at_once(outside: Outside) -> None:
    right = outside.secrets.values["forge", "token"]
    outside.secrets.values["forge", "token"] = "wrong-token-000"

    async with reached(outside) as forge:
        with pytest.raises(AuthFailed):
            await forge.head("main")
        outside.secrets.values["forge", "token"] = right
        head = await forge.head("main")

    assert head is not None


async def test_a_repository_or_pull_request_that_is_not_there(outside: Outside, forge: Forge) -> None:
    with pytest.raises(NotFound):
        await forge.state(12345)
    other = outside.spec.repository.rpartition("/")[0] + "/other"
    async with reached(outside, repository=other) as elsewhere:
        with pytest.raises(NotFound):
            await elsewhere.comment(1, "hello")
