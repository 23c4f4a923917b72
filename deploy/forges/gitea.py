"""Gitea and Forgejo. Source: https://docs.gitea.com/api/ (repository, issue), run against 1.26"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import anyio

from deploy.forges.errors import Declined, NotMergeable, Race
from deploy.forges.http import JsonClient, part
from deploy.forges.port import (
    Decoration,
    Head,
    Merge,
    Mergeable,
    Opening,
    PullRequest,
    Review,
    Status,
    newest,
)
from deploy.forges.reading import at, number, objects, text, time
from retrain.errors import NotFound, Permanent, Transient
from retrain.events import JsonValue

LOOKS_S = (0.2, 0.4, 0.8)
"""Waits before Gitea is asked again whether a pull request can be merged: "still looking" and "no" are one answer."""
COLOR = "#0e8a16"
_MOVED = ("head out of date", "push out of date", "merge push out of date")


class Gitea:
    """A `Forge`. `repository` is `owner/name`."""

    def __init__(self, client: JsonClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._path = "/repos/" + "/".join(part(one) for one in repository.split("/"))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def find(self, head: str, base: str) -> PullRequest | None:
        try:
            one = await self._client.ask("GET", f"{self._path}/pulls/{part(base)}/{_plain(head)}")
        except NotFound:
            return None
        found = [_read(one.body)] if _is_own(one.body, head, base) else []
        if not found or found[0].state != "open":
            # Gitea gives any one of several; which was the last stands in the list alone.
            query = {"state": "all", "base_branch": base, "sort": "recentupdate", "limit": "50"}
            listed = await self._client.listed(f"{self._path}/pulls", query)
            found += [_read(other) for other in listed if _is_own(other, head, base)]
        return newest(found)

    async def head(self, branch: str) -> Head | None:
        try:
            answer = await self._client.ask("GET", f"{self._path}/branches/{_plain(branch)}")
        except NotFound:
            return None
        commit = await self._client.ask("GET", f"{self._path}/git/commits/{part(text(answer.body, 'commit', 'id'))}")
        return Head(
            sha=text(commit.body, "sha"),
            message=text(commit.body, "commit", "message"),
            author=text(commit.body, "commit", "author", "email"),
            committer=text(commit.body, "commit", "committer", "email"),
            parents=tuple(text(one, "sha") for one in objects(commit.body, "parents")),
        )

    async def open(self, opening: Opening) -> PullRequest:
        body: JsonValue = {
            "head": opening.head,
            "base": opening.base,
            "title": opening.title,
            "body": opening.body,
            "allow_maintainer_edit": False,
        }
        try:
            answer = await self._client.ask("POST", f"{self._path}/pulls", body)
        except Declined as error:
            if error.status == 409:
                raise Race(str(error)) from error
            raise
        except NotFound as error:
            # Also the answer for a branch that was pushed a moment ago.
            await self._client.ask("GET", self._path)
            raise Race(str(error)) from error
        return _read(answer.body)

    async def update(self, number: int, title: str, body: str) -> None:
        await self._client.ask("PATCH", self._pull(number), {"title": title, "body": body})

    async def state(self, number: int) -> PullRequest:
        shown = (await self._client.ask("GET", self._pull(number))).body
        for wait_s in LOOKS_S:
            if text(shown, "state") != "open" or at(shown, "mergeable") is True or at(shown, "draft") is True:
                break
            await anyio.sleep(wait_s)
            shown = (await self._client.ask("GET", self._pull(number))).body
        reviews = await self._client.listed(f"{self._pull(number)}/reviews", {"limit": "50"})
        known = _read(shown, reviews)
        return replace(known, closed_by=await self._closer(number)) if known.state == "closed" else known

    async def _closer(self, number: int) -> str | None:
        """Who closed it last: only the timeline says so, which not every token may read."""
        with suppress(NotFound, Permanent):
            events = await self._client.listed(f"{self._path}/issues/{number:d}/timeline", {"limit": "50"})
            closers = [text(one, "user", "login") for one in events if text(one, "type") == "close"]
            return (closers or [""])[-1] or None
        return None

    async def merge(self, merge: Merge) -> str:
        title, _, rest = merge.message.partition("\n")
        body: JsonValue = {
            "Do": merge.method,
            "head_commit_id": merge.head_sha,
            "MergeTitleField": title,
            "MergeMessageField": rest.strip(),
            "merge_title_field": title,
            "merge_message_field": rest.strip(),
            "delete_branch_after_merge": merge.delete_branch,
        }
        try:
            await self._client.ask("POST", f"{self._pull(merge.number)}/merge", body)
        except Declined as error:
            raise _not_merged(error) from error
        made = _read((await self._client.ask("GET", self._pull(merge.number))).body)
        if made.merge_sha is None:
            raise Transient(
                f"{self._client.base} merged #{merge.number} and does not yet say as which commit; look again"
            )
        return made.merge_sha

    async def comment(self, number: int, text: str) -> None:
        await self._client.ask("POST", f"{self._path}/issues/{number:d}/comments", {"body": text})

    async def close(self, number: int) -> None:
        await self._client.ask("PATCH", self._pull(number), {"state": "closed"})

    async def decorate(self, number: int, decoration: Decoration) -> tuple[str, ...]:
        failed: list[str] = []
        if decoration.labels:
            try:
                labels: JsonValue = [*(await self._labels(decoration.labels))]
                await self._client.ask("POST", f"{self._path}/issues/{number:d}/labels", {"labels": labels})
            except (Permanent, NotFound) as error:
                failed.append(f"labels: {error}")
        for name in decoration.reviewers:
            # One by one: a name that is not known would take the others with it.
            try:
                body: JsonValue = {"reviewers": [name]}
                await self._client.ask("POST", f"{self._pull(number)}/requested_reviewers", body)
            except (Permanent, NotFound) as error:
                failed.append(f"reviewers: {error}")
        return tuple(failed)

    async def _labels(self, names: Sequence[str]) -> list[int]:
        """The labels' numbers; those that are not there are made."""
        listed = await self._client.listed(f"{self._path}/labels", {"limit": "50"})
        known = {text(one, "name"): number(one, "id") for one in listed}
        for name in names:
            if name not in known:
                body: JsonValue = {"name": name, "color": COLOR, "description": "Made by Retrain"}
                made = await self._client.ask("POST", f"{self._path}/labels", body)
                known[name] = number(made.body, "id")
        return [known[name] for name in names]

    async def set_status(self, status: Status) -> None:
        body: JsonValue = {
            "state": status.state,
            "context": status.context,
            "description": status.description[:255],
            "target_url": status.url,
        }
        await self._client.ask("POST", f"{self._path}/statuses/{part(status.sha)}", body)

    def _pull(self, number: int) -> str:
        return f"{self._path}/pulls/{number:d}"


def _plain(branch: str) -> str:
    """A branch in a path: Gitea takes the rest of the path for its name, and wants its slashes as they are."""
    return "/".join(part(one) for one in branch.split("/"))


def _is_own(one: JsonValue, head: str, base: str) -> bool:
    # -1: the branch is gone. `label` is its name even then, and a fork's has its owner before it.
    own = number(one, "head", "repo_id") in (number(one, "base", "repo_id"), -1)
    return own and text(one, "head", "label") == head and text(one, "base", "ref") == base


def _read(one: JsonValue, reviews: Sequence[JsonValue] = ()) -> PullRequest:
    merged = at(one, "merged") is True
    mergeable, needs_base, why = _mergeable(one)
    author = text(one, "user", "login")
    approvals, refusals = _reviews(reviews, author)
    return PullRequest(
        number=number(one, "number"),
        url=text(one, "html_url"),
        state="merged" if merged else "open" if text(one, "state") == "open" else "closed",
        head=text(one, "head", "label"),
        base=text(one, "base", "ref"),
        head_sha=text(one, "head", "sha"),
        author=author,
        title=text(one, "title"),
        body=text(one, "body"),
        merge_sha=text(one, "merge_commit_sha") or None if merged else None,
        merged_by=text(one, "merged_by", "login") or None,
        mergeable=mergeable,
        why=why,
        needs_base=needs_base,
        approvals=approvals,
        refusals=refusals,
    )


def _mergeable(one: JsonValue) -> tuple[Mergeable, bool, str]:
    if at(one, "draft") is True:
        return "no", False, "it is a draft"
    if at(one, "mergeable") is True:
        return "yes", False, ""
    return "no", True, "Gitea does not find it mergeable: it conflicts with its base, or Gitea still looks"


def _reviews(reviews: Sequence[JsonValue], author: str) -> tuple[tuple[Review, ...], tuple[Review, ...]]:
    """The newest yes or no of each person that nobody dismissed."""
    last: dict[str, tuple[str, Review]] = {}
    for one in sorted(reviews, key=lambda one: number(one, "id")):
        who, said = text(one, "user", "login"), text(one, "state")
        if who and who != author and said in {"APPROVED", "REQUEST_CHANGES"}:
            said = "DISMISSED" if at(one, "dismissed") is True else said
            last[who] = said, Review(who, time(one, "submitted_at"), text(one, "commit_id") or None)
    approvals = tuple(review for said, review in last.values() if said == "APPROVED")
    return approvals, tuple(review for said, review in last.values() if said == "REQUEST_CHANGES")


def _not_merged(error: Declined) -> Exception:
    said = error.said.lower()
    if error.status == 409 and (not said or any(words in said for words in _MOVED)):
        return Race(str(error))
    # "Please try again later" is a conflict, or that Gitea still looks: `state` tells what follows.
    return NotMergeable(str(error)) if error.status in (405, 409) else error
