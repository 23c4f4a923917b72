"""Pull requests on a real Gitea, with real git: proposed, approved, merged, and all that people do in between."""

from __future__ import annotations

import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from deploy.forges import (
    Action,
    AuthFailed,
    Branch,
    Decoration,
    Forge,
    Merge,
    Mine,
    NotMergeable,
    Opening,
    PullRequestSpec,
    Race,
    Wish,
    branch_of,
    decide,
    open_forge,
)
from deploy.forges.pulls import Landed
from deploy.git import Author, Git, Repository
from deploy.git.access import Access
from tests.contract import forge_gitea
from tests.contract.forge_gitea import USER, GiteaOutside
from tests.contract.forge_tls import tls_front
from tests.servers.forge_servers import Gitea

pytestmark = [pytest.mark.integration, pytest.mark.slow]

KEY = "c3" * 32
BRANCH, FILE = branch_of("prod/digits", KEY), "model.yaml"
US = "retrain@example.org"
NEW, OLD = "uri: v2\n", "uri: v1\n"
CA = {"name": "forge", "key": "ca"}
AUTHOR = Author("Retrain", US, 1_795_000_000)
ENV = {
    "PATH": "/usr/bin:/bin:/usr/local/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Retrain",
    "GIT_AUTHOR_EMAIL": US,
    "GIT_COMMITTER_NAME": "Retrain",
    "GIT_COMMITTER_EMAIL": US,
}


@dataclass
class Platform:
    """What the promoter will do with the room: look, decide, act. `wanted` is what the one file is to say."""

    outside: GiteaOutside
    forge: Forge
    folder: Path
    wish: Wish
    wanted: str = NEW
    pushed: set[str] = field(default_factory=set)
    texts: dict[str, str | None] = field(default_factory=dict)

    async def git(self, *words: str, stdin: str = "") -> str:
        token = self.outside.secrets.values["forge", "token"]
        url = self.outside.gitea.url.replace("://", f"://{USER}:{token}@") + f"/{self.outside.repository}.git"
        line = [word.replace("URL", url) for word in words]
        run = await anyio.run_process(["git", *line], input=stdin.encode(), cwd=self.folder, env=ENV, check=False)
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, words[0], run.stdout, run.stderr)
        return run.stdout.decode().strip()

    async def text(self, commit: str) -> str | None:
        """The file at a commit; None where it is not there."""
        if commit not in self.texts:
            found = await self.outside.maybe("GET", f"/contents/{FILE}?ref={commit}")
            self.texts[commit] = b64decode(found["content"]).decode() if found else None
        return self.texts[commit]

    async def look(self) -> tuple[Action, str]:
        base = await self.outside.tip("main")
        assert base is not None
        head = await self.forge.head(BRANCH)
        branch = None
        if head is not None:
            branch = Branch(head, await self.text(head.sha) == self.wanted, base not in head.parents)
        pull = await self.forge.find(BRANCH, "main")
        landed: Landed = "unknown"
        if pull is not None and pull.state == "open":
            pull = await self.forge.state(pull.number)
        if pull is not None and pull.merge_sha is not None:
            landed = "yes" if await self.text(pull.merge_sha) == self.wanted else "no"
        mine = replace(self.wish.mine, pushed=frozenset(self.pushed))
        wish = replace(self.wish, mine=mine, change=await self.text(base) != self.wanted)
        return decide(wish, branch, pull, landed), base

    async def commit(self, base: str) -> str:
        await self.git("fetch", "-q", "URL", base)
        blob = await self.git("hash-object", "-w", "--stdin", stdin=self.wanted)
        await self.git("read-tree", base)
        await self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{FILE}")
        message = f"promote: {self.wanted.strip()}\n\nRetrain-Intent: {KEY}\n"
        return await self.git("commit-tree", await self.git("write-tree"), "-p", base, stdin=message)

    async def push(self, base: str, lease: str) -> str:
        sha = await self.commit(base)
        self.pushed.add(sha)
        await self.git(
            "push", "-q", f"--force-with-lease=refs/heads/{BRANCH}:{lease}", "URL", f"{sha}:refs/heads/{BRANCH}"
        )
        return sha

    async def step(self) -> Action:
        """One round: look, decide, act."""
        action, base = await self.look()
        if action.lease is not None:
            await self.push(base, action.lease)
        match action.name:
            case "open":
                made = await self.forge.open(Opening(BRANCH, "main", "promote", "body"))
                self.wish = replace(self.wish, number=made.number)
            case "adopt":
                self.wish = replace(self.wish, number=action.number)
            case "merge":
                assert action.number is not None
                assert action.head_sha is not None
                merge = Merge(action.number, action.head_sha, "squash", "promote: v2\n\nRetrain-Intent: x", True)
                await self.forge.merge(merge)
            case _:
                pass
        return action

    async def until(self, *names: str) -> Action:
        """Steps until one of these; Gitea looks at pushes behind our back, so races and waits are taken again."""
        pause = 0.1
        with anyio.fail_after(60):
            while True:
                try:
                    action = await self.step()
                except Race:
                    action = None
                if action is not None and action.name in names:
                    return action
                await anyio.sleep(pause)
                pause = min(1.0, pause * 1.5)


@pytest.fixture
async def outside(gitea_server: Gitea) -> GiteaOutside:
    made = await anyio.to_thread.run_sync(forge_gitea.outside, gitea_server)
    await made.push("main", FILE, OLD)
    return made


@asynccontextmanager
async def started(outside: GiteaOutside, folder: Path, **more: Any) -> AsyncIterator[Platform]:
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    async with open_forge(outside.spec, outside.secrets.vault) as forge:
        wish = Wish(Mine(KEY, identities=frozenset({US})), **{"auto_merge": True, **more})
        platform = Platform(outside, forge, folder, wish)
        await platform.git("init", "-q", ".")
        yield platform


@pytest.fixture
async def platform(outside: GiteaOutside, tmp_path: Path) -> AsyncIterator[Platform]:
    async with started(outside, tmp_path / "work") as made:
        yield made


async def pulls(outside: GiteaOutside) -> list[dict[str, Any]]:
    return await outside.call("GET", "/pulls?state=all")


async def test_a_change_is_proposed_approved_and_merged_once(outside: GiteaOutside, tmp_path: Path) -> None:
    async with started(outside, tmp_path / "work", approvals=1, approvers=("Ada",)) as platform:
        opened = await platform.until("open")
        waiting = await platform.until("wait")
        head = await platform.forge.head(BRANCH)
        assert head is not None
        assert platform.wish.number is not None
        await outside.approve(platform.wish.number, head.sha)
        await platform.until("merge")
        done = await platform.until("done")
        again = await platform.step()

    assert opened.reason == "there is no branch and no pull request yet"
    assert waiting.reason == "0 of 1 approvals on the forge"
    assert done.merge_sha == await outside.tip("main")
    assert again.name == "done"
    assert await outside.tip(BRANCH) is None
    assert [one["merged"] for one in await pulls(outside)] == [True]


async def test_an_approval_lapses_when_what_would_be_written_changes(outside: GiteaOutside, tmp_path: Path) -> None:
    async with started(outside, tmp_path / "work", approvals=1, approvers=("ada",)) as platform:
        await platform.until("wait")
        head = await platform.forge.head(BRANCH)
        assert head is not None
        assert platform.wish.number is not None
        await outside.approve(platform.wish.number, head.sha)
        platform.wanted = "uri: v2\nslices: more\n"
        await platform.until("update")
        with anyio.fail_after(30):
            while (waiting := await platform.until("wait", "merge")).reason.startswith("the forge does not show"):
                pass

    assert waiting.reason == "0 of 1 approvals on the forge"


async def test_after_a_crash_the_branch_and_the_pull_request_are_found_again(
    outside: GiteaOutside, platform: Platform, tmp_path: Path
) -> None:
    platform.wish = replace(platform.wish, auto_merge=False)
    _, base = await platform.look()
    await platform.push(base, "")
    platform.pushed.clear()  # a crash before it was written down

    opened = await platform.until("open")
    platform.wish = replace(platform.wish, number=None)  # and one after the opening
    adopted = await platform.until("adopt")
    waiting = await platform.until("wait")

    assert opened.lease is None
    assert adopted.number == platform.wish.number
    assert waiting.reason == "a person merges it"
    assert len(await pulls(outside)) == 1


async def test_what_a_human_committed_is_never_touched(outside: GiteaOutside, platform: Platform) -> None:
    platform.wish = replace(platform.wish, auto_merge=False)
    await platform.until("open")
    theirs = await outside.commit(BRANCH, "notes.md", "look here", "a note", who=outside.ada)

    taken = await platform.until("taken-over")
    platform.wanted = "uri: v3\n"
    again = await platform.until("taken-over")
    await outside.push("main", FILE, "uri: other\n")
    conflict = await platform.until("taken-over")

    assert {taken.lease, again.lease, conflict.lease} == {None}
    assert await outside.tip(BRANCH) == theirs


async def test_a_push_that_would_run_over_a_human_is_refused_by_the_lease(
    outside: GiteaOutside, platform: Platform
) -> None:
    """He commits between our look and our push."""
    platform.wish = replace(platform.wish, auto_merge=False)
    await platform.until("open")
    platform.wanted = "uri: v3\n"
    action, base = await platform.look()
    theirs = await outside.commit(BRANCH, "notes.md", "look here", "a note", who=outside.ada)

    assert action.name == "update"
    assert action.lease is not None
    with pytest.raises(subprocess.CalledProcessError) as told:
        await platform.push(base, action.lease)

    assert b"stale info" in told.value.stderr
    assert await outside.tip(BRANCH) == theirs


async def test_a_conflict_with_the_base_is_built_again_and_merged(outside: GiteaOutside, platform: Platform) -> None:
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("wait")
    await outside.push("main", FILE, "uri: hotfix\n")
    rebuilt = await platform.until("rebuild")
    platform.wish = replace(platform.wish, approved=True)
    done = await platform.until("done")

    assert "conflicts" in rebuilt.reason
    assert await platform.text(str(done.merge_sha)) == NEW
    assert len(await pulls(outside)) == 1


async def test_a_base_that_moved_elsewhere_needs_no_rebuilding(outside: GiteaOutside, platform: Platform) -> None:
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("wait")
    head = await platform.forge.head(BRANCH)
    await outside.push("main", "other.yaml", "a: 1\n")
    platform.wish = replace(platform.wish, approved=True)
    done = await platform.until("done")

    assert head is not None
    assert platform.pushed == {head.sha}
    assert await platform.text(str(done.merge_sha)) == NEW


async def test_closed_is_no_until_somebody_overrules_it(outside: GiteaOutside, platform: Platform) -> None:
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("wait")
    number = platform.wish.number
    assert number is not None
    await outside.close(number)
    closed = await platform.until("rejected")
    again = await platform.step()
    platform.wish = replace(platform.wish, overruled=frozenset({number}))
    await platform.until("open")

    assert (closed.number, again.name) == (number, "rejected")
    assert [one["state"] for one in await pulls(outside)] == ["open", "closed"]


async def test_a_branch_that_a_person_deleted_is_a_no(outside: GiteaOutside, platform: Platform) -> None:
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("wait")
    await outside.call("DELETE", f"/branches/{BRANCH}", None, outside.ada)

    rejected = await platform.until("rejected")

    assert rejected.number == platform.wish.number
    assert await outside.tip(BRANCH) is None


async def test_a_pull_request_that_was_edited_before_its_merge_is_no_success(
    outside: GiteaOutside, platform: Platform
) -> None:
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("wait")
    await outside.commit(BRANCH, FILE, "uri: v1b\n", "rather this", who=outside.ada)
    await platform.until("taken-over")
    merge = {"Do": "squash", "merge_title_field": "t", "MergeTitleField": "t"}
    with anyio.fail_after(30):
        while (await outside.maybe("POST", f"/pulls/{platform.wish.number}/merge", merge)) is None:
            if (await outside.call("GET", f"/pulls/{platform.wish.number}"))["merged"]:
                break
            await anyio.sleep(0.2)

    edited = await platform.until("taken-over")

    assert "without our change" in edited.reason
    assert edited.merge_sha == await outside.tip("main")


async def test_a_protected_branch_takes_the_pull_request_once_it_is_approved(
    outside: GiteaOutside, platform: Platform
) -> None:
    rule = {"rule_name": "main", "enable_push": False, "required_approvals": 1, "block_admin_merge_override": True}
    await outside.call("POST", "/branch_protections", rule)
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("wait")
    head = await platform.forge.head(BRANCH)
    assert head is not None
    number = platform.wish.number
    assert number is not None

    with pytest.raises(NotMergeable) as told:
        await platform.forge.merge(Merge(number, head.sha, "merge", "m"))
    with pytest.raises(subprocess.CalledProcessError):
        await platform.git("push", "-q", "URL", f"{head.sha}:refs/heads/main")
    await outside.approve(number, head.sha)
    platform.wish = replace(platform.wish, approved=True)
    done = await platform.until("done")

    assert "approval" in str(told.value).lower()
    assert done.merge_sha == await outside.tip("main")


async def test_a_token_that_may_only_read_is_told_in_giteas_words(outside: GiteaOutside, platform: Platform) -> None:
    _, base = await platform.look()
    sha = await platform.push(base, "")
    scopes = ("read:repository", "read:issue")
    token = await anyio.to_thread.run_sync(forge_gitea.token, outside.gitea, USER, *scopes)
    outside.secrets.values["forge", "token"] = token

    seen = await platform.forge.head(BRANCH)
    with pytest.raises(AuthFailed) as told:
        await platform.forge.open(Opening(BRANCH, "main", "t", "b"))

    assert seen is not None
    assert seen.sha == sha
    assert "required scope" in str(told.value)
    assert token not in str(told.value)


async def test_two_platforms_with_one_wish_share_one_pull_request(
    outside: GiteaOutside, platform: Platform, tmp_path: Path
) -> None:
    platform.wish = replace(platform.wish, approved=False)
    async with started(outside, tmp_path / "other", approved=False) as other:
        await platform.until("open")
        await other.until("adopt")

        assert other.wish.number == platform.wish.number
    assert len(await pulls(outside)) == 1


async def test_labels_are_made_where_they_are_missing_and_kept(outside: GiteaOutside, platform: Platform) -> None:
    platform.wish = replace(platform.wish, approved=False)
    await platform.until("open")
    assert platform.wish.number is not None

    said = await platform.forge.decorate(platform.wish.number, Decoration(("model", "prod"), ("ada", "nobody")))
    await platform.forge.decorate(platform.wish.number, Decoration(("model",)))

    (shown,) = await pulls(outside)
    assert {one["name"] for one in shown["labels"]} == {"model", "prod"}
    assert [one["login"] for one in shown["requested_reviewers"]] == ["ada"]
    assert len(said) == 1
    assert "nobody" in said[0]


async def test_our_own_git_publishes_over_tls_and_loses_to_a_human(outside: GiteaOutside, tmp_path: Path) -> None:
    """Git and API by https with a CA of one's own, the branch set by lease, read after the merge."""
    async with tls_front(outside.gitea.server.port, tmp_path) as front:
        outside.secrets.values["forge", "ca"] = front.ca
        spec = {**outside.spec.model_dump(), "url": f"{front.url}/api/v1", "caCert": {"secretKeyRef": CA}}
        access = Access(username=USER, password=outside.secrets.values["forge", "token"], ca=front.ca)
        git = Git(tmp_path / "home", {"PATH": ENV["PATH"]})
        remote = Repository(git, f"{front.url}/{outside.repository}.git", tmp_path / "git", access)

        def publish(text: str, lease: str) -> str:
            with remote.locked():
                base = remote.fetch("main")
                sha = remote.commit(base, {FILE: text.encode()}, f"promote\n\nRetrain-Intent: {KEY}\n", AUTHOR)
                remote.publish(sha, BRANCH, lease)
                return sha

        def read(branch: str) -> bytes | None:
            with remote.locked():
                return remote.read(remote.fetch(branch), [FILE])[FILE]

        run = anyio.to_thread.run_sync
        async with open_forge(PullRequestSpec.model_validate(spec), outside.secrets.vault) as forge:
            first = await run(publish, OLD + "a: 1\n", "")
            with pytest.raises(Race):
                await run(publish, NEW, "")
            sha = await run(publish, NEW, first)
            with pytest.raises(Race):
                await run(publish, OLD, first)
            head = await forge.head(BRANCH)
            made = await forge.open(Opening(BRANCH, "main", "promote", "body"))
            with anyio.fail_after(30):
                while (await forge.state(made.number)).mergeable != "yes":  # noqa: ASYNC110 - a forge tells nobody
                    await anyio.sleep(0.2)
            merged = await forge.merge(Merge(made.number, sha, "merge", "promote: v2", True))

        assert head is not None
        assert head.sha == sha
        assert Mine(KEY, identities=frozenset({US})).made(head)
        assert merged == await outside.tip("main")
        assert await run(read, "main") == NEW.encode()
