"""GitHub, its Enterprise Server too. Source: https://docs.github.com/en/rest/pulls (API version 2022-11-28)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from deploy.forges.errors import Declined, NotMergeable, Race
from deploy.forges.github_commit import commit_on_branch, move_branch
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

API = "https://api.github.com"
HEADERS = {"X-GitHub-Api-Version": "2022-11-28", "Accept": "application/vnd.github+json"}

_STATES: Mapping[str, tuple[Mergeable, bool, str]] = {
    "clean": ("yes", False, ""),
    "has_hooks": ("yes", False, ""),
    "unstable": ("yes", False, ""),
    "dirty": ("no", True, "it conflicts with its base"),
    "behind": ("no", True, "its branch must be up to date with its base"),
    "blocked": ("no", False, "a rule of the branch is not met yet (a review or a check)"),
    "draft": ("no", False, "it is a draft"),
}
"""`mergeable_state`: whether it can be merged, whether the branch has to be built again, and why."""


class GitHub:
    """A `Forge`. `repository` is `owner/name`."""

    def __init__(self, client: JsonClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._owner = repository.partition("/")[0]
        self._path = "/repos/" + "/".join(part(one) for one in repository.split("/"))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def find(self, head: str, base: str) -> PullRequest | None:
        query = {"head": f"{self._owner}:{head}", "base": base, "state": "all", "per_page": "100"}
        listed = await self._client.listed(f"{self._path}/pulls", query)
        return newest([self._read(one) for one in listed if self._is_own(one, head, base)])

    def _is_own(self, one: JsonValue, head: str, base: str) -> bool:
        # An unknown `head` filter is ignored by GitHub, and a fork may have a branch of the same name.
        own = text(one, "head", "repo", "full_name").casefold() == self._repository.casefold()
        return own and text(one, "head", "ref") == head and text(one, "base", "ref") == base

    async def head(self, branch: str) -> Head | None:
        try:
            answer = await self._client.ask("GET", f"{self._path}/branches/{part(branch)}")
        except NotFound:
            return None
        commit = at(answer.body, "commit")
        return Head(
            sha=text(commit, "sha"),
            message=text(commit, "commit", "message"),
            author=text(commit, "commit", "author", "email"),
            committer=text(commit, "commit", "committer", "email"),
            parents=tuple(text(one, "sha") for one in objects(commit, "parents")),
        )

    async def open(self, opening: Opening) -> PullRequest:
        body: JsonValue = {
            "head": opening.head,
            "base": opening.base,
            "title": opening.title,
            "body": opening.body,
            "maintainer_can_modify": False,
        }
        try:
            answer = await self._client.ask("POST", f"{self._path}/pulls", body)
        except Declined as error:
            if error.status == 422 and "already exists" in error.said:
                raise Race(str(error)) from error
            raise
        return self._read(answer.body)

    async def update(self, number: int, title: str, body: str) -> None:
        await self._client.ask("PATCH", self._pull(number), {"title": title, "body": body})

    async def state(self, number: int) -> PullRequest:
        shown = await self._client.ask("GET", self._pull(number))
        reviews = await self._client.listed(f"{self._pull(number)}/reviews", {"per_page": "100"})
        known = self._read(shown.body, reviews)
        return replace(known, closed_by=await self._closer(number)) if known.state == "closed" else known

    async def _closer(self, number: int) -> str | None:
        """Who closed it: GitHub says so of the issue alone, which not every token may read."""
        with suppress(NotFound, Permanent):
            issue = await self._client.ask("GET", f"{self._path}/issues/{number:d}")
            return text(issue.body, "closed_by", "login") or None
        return None

    async def merge(self, merge: Merge) -> str:
        title, _, rest = merge.message.partition("\n")
        body: JsonValue = {
            "sha": merge.head_sha,
            "merge_method": merge.method,
            "commit_title": title,
            "commit_message": rest.strip(),
        }
        try:
            answer = await self._client.ask("PUT", f"{self._pull(merge.number)}/merge", body)
        except Declined as error:
            raise _not_merged(error) from error
        sha = text(answer.body, "sha")
        if not sha:
            raise Transient(f"{self._client.base} merged #{merge.number} and does not say as which commit; look again")
        if merge.delete_branch:
            await self._delete_branch(merge)
        return sha

    async def _delete_branch(self, merge: Merge) -> None:
        """Tidy up, if nobody has pushed since. GitHub may have done so itself; it may also forbid it."""
        with suppress(NotFound, Permanent, Transient):  # the merge is what counts
            branch = text((await self._client.ask("GET", self._pull(merge.number))).body, "head", "ref")
            found = await self.head(branch)
            if found is not None and found.sha == merge.head_sha:
                await self._client.ask("DELETE", f"{self._path}/git/refs/heads/{_ref(branch)}")

    async def comment(self, number: int, text: str) -> None:
        await self._client.ask("POST", f"{self._path}/issues/{number:d}/comments", {"body": text})

    async def close(self, number: int) -> None:
        await self._client.ask("PATCH", self._pull(number), {"state": "closed"})

    async def decorate(self, number: int, decoration: Decoration) -> tuple[str, ...]:
        users = [one for one in decoration.reviewers if "/" not in one]
        teams = [one.partition("/")[2] for one in decoration.reviewers if "/" in one]
        asked: list[tuple[str, str, JsonValue]] = []
        if decoration.labels:
            asked.append(("labels", f"{self._path}/issues/{number:d}/labels", {"labels": [*decoration.labels]}))
        if users or teams:
            reviewers: JsonValue = {"reviewers": [*users], "team_reviewers": [*teams]}
            asked.append(("reviewers", f"{self._pull(number)}/requested_reviewers", reviewers))
        return await _try_each(self._client, asked)

    async def set_status(self, status: Status) -> None:
        body: JsonValue = {
            "state": status.state,
            "context": status.context,
            "description": status.description[:140],
            **({"target_url": status.url} if status.url else {}),
        }
        await self._client.ask("POST", f"{self._path}/statuses/{part(status.sha)}", body)

    async def commit(self, branch: str, expected_head: str, files: Mapping[str, bytes], message: str) -> str:
        """Commit files on top of a branch by `createCommitOnBranch`; the commit. GitHub signs it and is its committer.

        Raises:
            Race: the branch is not at `expected_head` any more.
        """
        return await commit_on_branch(self._client, self._repository, branch, expected_head, files, message)

    async def move(self, branch: str, before: str | None, after: str) -> None:
        """Set a branch from one commit to another, by force; `before` None makes it.

        Raises:
            Race: it is not at `before`.
        """
        await move_branch(self._client, self._path, branch, before, after)

    def _pull(self, number: int) -> str:
        return f"{self._path}/pulls/{number:d}"

    def _read(self, one: JsonValue, reviews: Sequence[JsonValue] = ()) -> PullRequest:
        merged = at(one, "merged") is True or text(one, "merged_at") != ""
        mergeable, needs_base, why = _mergeable(one)
        author = text(one, "user", "login")
        approvals, refusals = _reviews(reviews, author)
        return PullRequest(
            number=number(one, "number"),
            url=text(one, "html_url"),
            state="merged" if merged else "open" if text(one, "state") == "open" else "closed",
            head=text(one, "head", "ref"),
            base=text(one, "base", "ref"),
            head_sha=text(one, "head", "sha"),
            author=author,
            title=text(one, "title"),
            body=text(one, "body"),
            # Before the merge this field names GitHub's trial merge, which is on no branch.
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
        return _STATES["draft"]
    if at(one, "mergeable") is None:
        return "unknown", False, "GitHub has not looked yet whether it can be merged"
    unknown: tuple[Mergeable, bool, str] = ("unknown", False, "GitHub does not say whether it can be merged")
    return _STATES.get(text(one, "mergeable_state"), unknown)


def _reviews(reviews: Sequence[JsonValue], author: str) -> tuple[tuple[Review, ...], tuple[Review, ...]]:
    """The newest yes or no of each person. A comment takes neither back; a dismissal does."""
    last: dict[str, tuple[str, Review]] = {}
    for one in reviews:
        who, said = text(one, "user", "login"), text(one, "state")
        if who and who != author and said in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}:
            last[who] = said, Review(who, time(one, "submitted_at"), text(one, "commit_id") or None)
    approvals = tuple(review for said, review in last.values() if said == "APPROVED")
    return approvals, tuple(review for said, review in last.values() if said == "CHANGES_REQUESTED")


def _not_merged(error: Declined) -> Exception:
    """GitHub has one status for nearly every reason; its words tell them apart."""
    said = error.said.lower()
    if error.status == 409 or "branch was modified" in said:
        return Race(str(error))
    return NotMergeable(str(error)) if error.status in (405, 422) else error


def _ref(branch: str) -> str:
    return "/".join(part(one) for one in branch.split("/"))


async def _try_each(client: JsonClient, asked: Sequence[tuple[str, str, JsonValue]]) -> tuple[str, ...]:
    """Send each; what did not work, in words."""
    failed: list[str] = []
    for what, path, body in asked:
        try:
            await client.ask("POST", path, body)
        except (Declined, NotFound) as error:
            failed.append(f"{what}: {error}")
    return tuple(failed)
