"""GitLab, on gitlab.com and self-hosted. Source: https://docs.gitlab.com/api/merge_requests/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from deploy.forges.errors import AuthFailed, Declined, NotMergeable, Race
from deploy.forges.http import JsonClient, part
from deploy.forges.port import (
    Decoration,
    Head,
    Merge,
    Mergeable,
    Opening,
    PullRequest,
    Review,
    State,
    Status,
    newest,
)
from deploy.forges.reading import at, number, objects, text, time
from retrain.errors import ConfigError, NotFound
from retrain.events import JsonValue

API = "https://gitlab.com/api/v4"

_STATES: Mapping[str, State] = {"opened": "open", "locked": "open", "merged": "merged", "closed": "closed"}
_LOOKING = {
    "unchecked",
    "checking",
    "preparing",
    "approvals_syncing",
    "cannot_be_merged_recheck",
    "cannot_be_merged_rechecking",
}
_REBASE = {
    "conflict": "it conflicts with its base",
    "broken_status": "it conflicts with its base",
    "need_rebase": "its branch must be up to date with its base",
}
_STATUSES = {"pending": "pending", "success": "success", "failure": "failed", "error": "failed"}


class GitLab:
    """A `Forge`. `repository` is the project's full path. Who merges by rebase sets the project so."""

    def __init__(self, client: JsonClient, repository: str) -> None:
        self._client = client
        self._path = f"/projects/{part(repository)}"

    async def aclose(self) -> None:
        await self._client.aclose()

    async def find(self, head: str, base: str) -> PullRequest | None:
        query = {"source_branch": head, "target_branch": base, "state": "all", "scope": "all", "per_page": "100"}
        listed = await self._client.listed(f"{self._path}/merge_requests", query)
        return newest([_read(one) for one in listed if _is_own(one, head, base)])

    async def head(self, branch: str) -> Head | None:
        try:
            answer = await self._client.ask("GET", f"{self._path}/repository/branches/{part(branch)}")
        except NotFound:
            return None
        commit = at(answer.body, "commit")
        parents = at(commit, "parent_ids")
        return Head(
            sha=text(commit, "id"),
            message=text(commit, "message"),
            author=text(commit, "author_email"),
            committer=text(commit, "committer_email"),
            parents=tuple(str(one) for one in parents) if isinstance(parents, list) else (),
        )

    async def open(self, opening: Opening) -> PullRequest:
        body: JsonValue = {
            "source_branch": opening.head,
            "target_branch": opening.base,
            "title": opening.title,
            "description": opening.body,
            "allow_collaboration": False,
        }
        try:
            answer = await self._client.ask("POST", f"{self._path}/merge_requests", body)
        except Declined as error:
            # 409: there is one for this branch. 400 of a branch that was pushed a moment ago: it is not seen yet.
            if error.status == 409 or "does not exist" in error.said:
                raise Race(str(error)) from error
            raise
        return _read(answer.body)

    async def update(self, number: int, title: str, body: str) -> None:
        await self._client.ask("PUT", self._pull(number), {"title": title, "description": body})

    async def state(self, number: int) -> PullRequest:
        shown = await self._client.ask("GET", self._pull(number))
        approvals = await self._approvals(number, text(shown.body, "author", "username"))
        return _read(shown.body, approvals)

    async def _approvals(self, number: int, author: str) -> tuple[Review, ...]:
        """GitLab tells who and (newer ones) when, not for which commit: that follows from when each was pushed."""
        try:
            answer = await self._client.ask("GET", f"{self._pull(number)}/approvals")
        except (NotFound, AuthFailed):
            return ()  # a licence or a token without approvals: then there are none to count
        found = objects(answer.body, "approved_by")
        if not found:
            return ()
        versions = await self._client.listed(f"{self._pull(number)}/versions", {"per_page": "100"})
        pushed = [(time(one, "created_at"), text(one, "head_commit_sha")) for one in versions]
        people = [(text(one, "user", "username"), time(one, "approved_at")) for one in found]
        return tuple(Review(who, when, _seen(when, pushed)) for who, when in people if who and who != author)

    async def merge(self, merge: Merge) -> str:
        squash = merge.method == "squash"
        body: JsonValue = {
            "sha": merge.head_sha,
            "squash": squash,
            "should_remove_source_branch": merge.delete_branch,
            ("squash_commit_message" if squash else "merge_commit_message"): merge.message,
        }
        try:
            answer = await self._client.ask("PUT", f"{self._pull(merge.number)}/merge", body)
        except Declined as error:
            raise _not_merged(error) from error
        made = _read(answer.body)
        if made.state != "merged" or made.merge_sha is None:
            raise Race(f"{self._client.base} took the merge of !{merge.number} and has not made it yet; look again")
        return made.merge_sha

    async def comment(self, number: int, text: str) -> None:
        await self._client.ask("POST", f"{self._pull(number)}/notes", {"body": text})

    async def close(self, number: int) -> None:
        await self._client.ask("PUT", self._pull(number), {"state_event": "close"})

    async def decorate(self, number: int, decoration: Decoration) -> tuple[str, ...]:
        failed: list[str] = []
        wanted: dict[str, JsonValue] = {}
        if decoration.labels:
            wanted["add_labels"] = ",".join(decoration.labels)
        ids: list[JsonValue] = []
        for name in decoration.reviewers:
            if (user := await self._user(name)) is None:
                failed.append(f"reviewers: there is no user {name!r}")
            else:
                ids.append(user)
        if ids:
            wanted["reviewer_ids"] = ids
        try:
            if wanted:
                await self._client.ask("PUT", self._pull(number), wanted)
        except (Declined, NotFound) as error:
            failed.append(f"{' and '.join(wanted)}: {error}")
        return tuple(failed)

    async def _user(self, name: str) -> int | None:
        answer = await self._client.ask("GET", "/users", query={"username": name})
        return next((number(one, "id") for one in objects(answer.body)), None)

    async def set_status(self, status: Status) -> None:
        body: JsonValue = {
            "state": _STATUSES[status.state],
            "name": status.context,
            "description": status.description[:255],
            **({"target_url": status.url} if status.url else {}),
        }
        try:
            await self._client.ask("POST", f"{self._path}/statuses/{part(status.sha)}", body)
        except Declined as error:
            # GitLab calls it an error to say the same again.
            if "cannot transition status" not in error.said.lower():
                raise

    def _pull(self, number: int) -> str:
        return f"{self._path}/merge_requests/{number:d}"


def _is_own(one: JsonValue, head: str, base: str) -> bool:
    own = number(one, "source_project_id") == number(one, "target_project_id")
    return own and text(one, "source_branch") == head and text(one, "target_branch") == base


def _read(one: JsonValue, approvals: tuple[Review, ...] = ()) -> PullRequest:
    state = _STATES.get(text(one, "state"), "closed")
    mergeable, needs_base, why = _mergeable(one)
    # A merge by fast-forward has no commit of its own.
    merged = text(one, "merge_commit_sha") or text(one, "squash_commit_sha") or text(one, "sha")
    return PullRequest(
        number=number(one, "iid"),
        url=text(one, "web_url"),
        state=state,
        head=text(one, "source_branch"),
        base=text(one, "target_branch"),
        head_sha=text(one, "sha"),
        author=text(one, "author", "username"),
        title=text(one, "title"),
        body=text(one, "description"),
        merge_sha=merged or None if state == "merged" else None,
        merged_by=text(one, "merge_user", "username") or text(one, "merged_by", "username") or None,
        closed_by=text(one, "closed_by", "username") or None,
        mergeable=mergeable,
        why=why,
        needs_base=needs_base,
        approvals=approvals,
    )


def _mergeable(one: JsonValue) -> tuple[Mergeable, bool, str]:
    said = text(one, "detailed_merge_status") or text(one, "merge_status")
    if said in {"mergeable", "can_be_merged"}:
        return "yes", False, ""
    if said in _LOOKING or not said:
        return "unknown", False, "GitLab still looks whether it can be merged"
    if said in _REBASE or at(one, "has_conflicts") is True:
        return "no", True, _REBASE.get(said, "it conflicts with its base")
    return "no", False, f"GitLab says {said}"


def _seen(when: datetime | None, pushed: Sequence[tuple[datetime | None, str]]) -> str | None:
    """The commit that was the newest at a moment; None if the moment, or all before it, is unknown."""
    if when is None:
        return None
    before = [(at, sha) for at, sha in pushed if at is not None and at <= when]
    return max(before)[1] if before else None


def _not_merged(error: Declined) -> Exception:
    if error.status == 409:
        return Race(str(error))
    return NotMergeable(str(error)) if error.status in (405, 406, 422) else error


def check_method(method: str) -> None:
    """Refuse a way of merging that GitLab's API does not have.

    Raises:
        ConfigError: rebase.
    """
    if method == "rebase":
        raise ConfigError("GitLab merges by rebase only where its project is set so; write method: merge or squash")
