"""`commits: api`: GitHub makes the commit on our branch, and a crash between its two calls is no stranger's work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from deploy.derive import Intent
from deploy.forges import Forge, PullRequestSpec, Race, open_forge
from deploy.pulling import acting
from deploy.pulling.step import Known, mine_of
from tests.contract.forge_shapes import GitHubShape
from tests.contract.forge_world import Outside, shaped

BRANCH, KEY = "promote/prod/digits/0123456789ab", "ab" * 32
INTENT = Intent("p-1", KEY, "promote", "sha256:x", datetime(2026, 11, 22, tzinfo=UTC))
MESSAGE = f"promote(digits): v2\n\nRetrain-Promotion: p-1\nRetrain-Intent: {KEY}\n"


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    async with shaped({"forge": "github", "repository": "acme/deploy", "commits": "api"}, GitHubShape()) as made:
        yield made


@pytest.fixture
async def forge(outside: Outside) -> AsyncIterator[Forge]:
    spec = PullRequestSpec.model_validate({**outside.spec.model_dump(), "commits": "api"})
    async with open_forge(spec, outside.secrets.vault, pauses_s=(0.01,)) as opened:
        yield opened


async def commit(forge: Forge, lease: str, base: str, text: bytes = b"v2") -> str:
    return await acting.commit_there(forge, BRANCH, lease, base, {"model.yaml": text}, MESSAGE)


async def test_the_branch_is_made_and_built_again_by_lease(outside: Outside, forge: Forge) -> None:
    base = await outside.tip("main")
    assert base is not None
    first = await commit(forge, "", base)
    head = await forge.head(BRANCH)
    again = await outside.push("main", "other.yaml", "x")
    second = await commit(forge, first, again, b"v3")
    with pytest.raises(Race):
        await commit(forge, first, again)
    with pytest.raises(Race):
        await commit(forge, "", again)

    assert head is not None
    assert (head.sha, head.parents) == (first, (base,))
    assert mine_of(outside.spec.model_copy(update={"commits": "api"}), "us@x", INTENT, Known(None, None)).made(head)
    assert await outside.tip(BRANCH) == second


async def test_a_branch_that_stands_on_the_base_after_a_crash_is_ours(outside: Outside, forge: Forge) -> None:
    base = await outside.push("main", "other.yaml", "x")
    await outside.push(BRANCH, "model.yaml", "half way")
    before = await outside.tip(BRANCH)
    assert before is not None
    with pytest.raises(Race):
        await commit(forge, "", base)
    await forge.move(BRANCH, before, base)  # type: ignore[attr-defined]
    left = await forge.head(BRANCH)
    assert left is not None

    # What is written down before the two calls is the base.
    assert mine_of(outside.spec, "us@x", INTENT, Known(None, base)).made(left)
    done = await commit(forge, left.sha, base)
    assert await outside.tip(BRANCH) == done
