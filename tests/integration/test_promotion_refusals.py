"""What a promoter does about each thing that a server may say: ended with the reason, or tried again until it goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.identity import Principal
from tests.integration.promotion_world import Remote, candidate, document, git, world

pytestmark = pytest.mark.integration

ADA = Principal("ada", frozenset({"admin"}), verified=True)


def hook(script: str) -> Callable[[Remote], None]:
    return lambda remote: remote.hook("pre-receive", f"#!/bin/sh\n{script}\n")


def says(words: str) -> Callable[[Remote], None]:
    return hook(f"echo '{words}' >&2; exit 1")


FINAL = {
    "a hook": (hook("exit 1"), "a hook of the server declined"),
    "a hook with a reason": (says("names of models begin with m-"), "names of models begin with m-"),
    "protected": (says("GH006: Protected branch update failed"), "the branch is protected from us"),
    "by pull request": (says("Changes must be made through a pull request."), "takes changes by pull request only"),
    "signed only": (says("Commits must have verified signatures."), "takes signed commits only"),
    "over its quota": (says("Your push exceeds the quota of the project"), "over its quota"),
    "read-only": (says("this repository is archived"), "may be read, but not written"),
}


@pytest.mark.parametrize("what", FINAL)
async def test_what_waiting_does_not_help_ends_at_once_and_a_person_may_ask_again(tmp_path: Path, what: str) -> None:
    make, words = FINAL[what]
    remote = Remote.create(tmp_path / "deploy.git")
    make(remote)

    async with world(tmp_path / "data", document(remote.path)) as w:
        row = await w.promote(candidate("a"))
        before = len(remote.commits())
        (remote.path / "hooks" / "pre-receive").unlink()
        again = await w.promoter.people.retry(row.id, by=ADA, reason="mended")
        done = await w.until(again.id)
        subjects = [event.subject for event in await w.events()]

    assert (row.state, row.attempts, row.commit_sha, before) == ("failed", 1, None, 1)
    assert words in row.reason
    assert (done.state, len(remote.commits())) == ("committed", 2)
    assert subjects == ["promotion.failed", "promotion.committed"]


def away(remote: Remote) -> None:
    remote.path.rename(remote.path.with_name("gone.git"))


def back(remote: Remote) -> None:
    remote.path.with_name("gone.git").rename(remote.path)


def unhooked(remote: Remote) -> None:
    (remote.path / "hooks" / "pre-receive").unlink()


PASSING = {
    "away": (away, back, "no such repository"),
    "its disk is full": (says("fatal: No space left on device"), unhooked, "a disk is full"),
    "a lock lies there": (
        lambda remote: (remote.path / "refs/heads/main.lock").touch(),
        lambda remote: (remote.path / "refs/heads/main.lock").unlink(),
        "",
    ),
}


@pytest.mark.parametrize("what", PASSING)
async def test_what_passes_is_waited_for_and_lands_once(tmp_path: Path, what: str) -> None:
    make, mend, words = PASSING[what]
    remote = Remote.create(tmp_path / "deploy.git")
    make(remote)

    async with world(tmp_path / "data", document(remote.path)) as w:
        promotion = await w.propose(candidate("a"))
        waits = await w.until(promotion, lambda row: bool(row.reason))
        mend(remote)
        row = await w.until(promotion)
        subjects = [event.subject for event in await w.events()]

    assert words in waits.reason
    assert (row.state, len(remote.commits())) == ("committed", 2)
    assert subjects == ["promotion.committed"]


async def test_one_repository_that_is_away_holds_up_no_other(tmp_path: Path) -> None:
    here, gone = Remote.create(tmp_path / "here.git"), Remote.create(tmp_path / "deploy.git")
    away(gone)

    async with world(tmp_path / "data", document(here.path), document(gone.path, name="other")) as w:
        late = await w.propose(candidate("a"), name="other")
        row = await w.promote(candidate("a"))
        await w.until(late, lambda one: bool(one.reason))
        state = w.promoter.state()

    assert row.state == "committed"
    assert {name: one["ready"] for name, one in state.items() if isinstance(one, dict)} == {
        "digits": True,
        "other": False,
    }


async def test_a_slow_server_is_given_its_time(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    hook("sleep 1")(remote)

    async with world(tmp_path / "data", document(remote.path)) as w:
        row = await w.promote(candidate("a"))

    assert (row.state, row.attempts) == ("committed", 1)
    assert git(remote.path, "rev-parse", "main") == row.commit_sha
