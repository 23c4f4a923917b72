"""Bitbucket Cloud. Source: https://developer.atlassian.com/cloud/bitbucket/rest/api-group-pullrequests/

Its API merges whatever the branch holds at that moment: it takes no commit that the branch must be at. So the branch is
looked at right before, and what was merged is looked at after it (`pulls.decide`: "verify").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import anyio

from deploy.forges.errors import Declined, NotMergeable, Race
from deploy.forges.http import PAGES, JsonClient, part
from deploy.forges.port import Decoration, Head, Merge, Method, Opening, PullRequest, Review, State, Status, newest
from deploy.forges.reading import at, number, objects, text, time
from retrain.errors import NotFound, Transient
from retrain.events import JsonValue

API = "https://api.bitbucket.org/2.0"
LOOKS_S = (0.5, 1.0, 2.0, 4.0)
"""Waits while a merge that Bitbucket makes later is under way."""

_STATES: Mapping[str, State] = {"OPEN": "open", "DRAFT": "open", "MERGED": "merged"}
_STRATEGIES: Mapping[Method, str] = {"merge": "merge_commit", "squash": "squash", "rebase": "rebase_fast_forward"}
_STATUSES = {"pending": "INPROGRESS", "success": "SUCCESSFUL", "failure": "FAILED", "error": "STOPPED"}
_CONFLICTS = {"merge conflict", "rename conflict", "subrepo conflict", "local deleted", "remote deleted"}


class Bitbucket:
    """A `Forge`. `repository` is `workspace/slug`. People are named by their account id or UUID."""

    def __init__(self, client: JsonClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._path = "/repositories/" + "/".join(part(one) for one in repository.split("/"))

    async def aclose(self) -> None:
        await self._client.aclose()

    async def find(self, head: str, base: str) -> PullRequest | None:
        wanted = f'source.branch.name = "{_quoted(head)}" AND destination.branch.name = "{_quoted(base)}"'
        # Without states Bitbucket lists the open ones alone.
        states = " OR ".join(f'state = "{one}"' for one in ("OPEN", "MERGED", "DECLINED", "SUPERSEDED"))
        listed = await self._listed(f"{self._path}/pullrequests", {"q": f"{wanted} AND ({states})", "pagelen": "50"})
        found = [_read(one) for one in listed if self._is_own(one, head, base)]
        return newest([await self._whole(one) for one in found])

    def _is_own(self, one: JsonValue, head: str, base: str) -> bool:
        own = text(one, "source", "repository", "full_name").casefold() == self._repository.casefold()
        names = text(one, "source", "branch", "name"), text(one, "destination", "branch", "name")
        return own and names == (head, base)

    async def _whole(self, pull: PullRequest) -> PullRequest:
        """Bitbucket writes twelve digits of a commit; all others here are whole."""
        head = await self._whole_sha(pull.head_sha)
        merge = await self._whole_sha(pull.merge_sha) if pull.merge_sha else None
        return replace(pull, head_sha=head, merge_sha=merge)

    async def _whole_sha(self, sha: str) -> str:
        if len(sha) >= 40 or not sha:
            return sha
        try:
            return text((await self._client.ask("GET", f"{self._path}/commit/{part(sha)}")).body, "hash") or sha
        except NotFound:
            return sha  # a branch that was deleted takes its commits along

    async def head(self, branch: str) -> Head | None:
        try:
            answer = await self._client.ask("GET", f"{self._path}/refs/branches/{part(branch)}")
        except NotFound:
            return None
        commit = at(answer.body, "target")
        return Head(
            sha=text(commit, "hash"),
            message=text(commit, "message"),
            author=text(commit, "author", "raw").rpartition("<")[2].rstrip(">"),
            parents=tuple(text(one, "hash") for one in objects(commit, "parents")),
        )

    async def open(self, opening: Opening) -> PullRequest:
        body: JsonValue = {
            "title": opening.title,
            "description": opening.body,
            "source": {"branch": {"name": opening.head}},
            "destination": {"branch": {"name": opening.base}},
        }
        # A second one from the same branch takes the place of the first, silently.
        if (there := await self.find(opening.head, opening.base)) is not None and there.state == "open":
            raise Race(f"{self._client.base}: #{there.number} is open for {opening.head} already")
        answer = await self._client.ask("POST", f"{self._path}/pullrequests", body)
        return await self._whole(_read(answer.body))

    async def update(self, number: int, title: str, body: str) -> None:
        await self._client.ask("PUT", self._pull(number), {"title": title, "description": body})

    async def state(self, number: int) -> PullRequest:
        shown = (await self._client.ask("GET", self._pull(number))).body
        pull = await self._whole(_read(shown))
        if pull.state != "open":
            return pull
        approvals, refusals = await self._reviews(number, shown)
        conflict = await self._conflicts(number)
        draft = at(shown, "draft") is True
        why = "it conflicts with its base" if conflict else "it is a draft" if draft else ""
        return replace(
            pull,
            mergeable="no" if why else "yes",
            why=why,
            needs_base=conflict,
            approvals=approvals,
            refusals=refusals,
        )

    async def _conflicts(self, number: int) -> bool:
        """Bitbucket does not say whether a pull request can be merged; its list of changed files tells of conflicts."""
        listed = await self._listed(f"{self._pull(number)}/diffstat", {"pagelen": "100"})
        return any(text(one, "status") in _CONFLICTS for one in listed)

    async def _reviews(self, number: int, shown: JsonValue) -> tuple[tuple[Review, ...], tuple[Review, ...]]:
        """Who said yes or no last, and to which commit: the one that was the newest then."""
        people = [one for one in objects(shown, "participants") if text(one, "state")]
        if not people:
            return (), ()
        pushed = await self._pushed(number)
        author, said = _name(at(shown, "author")), dict[str, list[Review]]()
        for one in people:
            if (who := _name(at(one, "user"))) != author:
                when = time(one, "participated_on")
                said.setdefault(text(one, "state"), []).append(Review(who, when, await self._seen(when, pushed)))
        return tuple(said.get("approved", ())), tuple(said.get("changes_requested", ()))

    async def _pushed(self, number: int) -> list[tuple[datetime, str]]:
        listed = await self._listed(f"{self._pull(number)}/activity", {"pagelen": "50"})
        updates = [at(one, "update") for one in listed]
        moments = [(time(one, "date"), text(one, "source", "commit", "hash")) for one in updates]
        return [(when, sha) for when, sha in moments if when is not None and sha]

    async def _seen(self, when: datetime | None, pushed: Sequence[tuple[datetime, str]]) -> str | None:
        before = [(at, sha) for at, sha in pushed if when is not None and at <= when]
        return await self._whole_sha(max(before)[1]) if before else None

    async def merge(self, merge: Merge) -> str:
        now = await self._whole(_read((await self._client.ask("GET", self._pull(merge.number))).body))
        if now.head_sha != merge.head_sha:
            raise Race(f"{self._pull(merge.number)}: its branch is at {now.head_sha}, not at {merge.head_sha}")
        body: JsonValue = {
            "message": merge.message,
            "merge_strategy": _STRATEGIES[merge.method],
            "close_source_branch": merge.delete_branch,
        }
        try:
            answer = await self._client.ask("POST", f"{self._pull(merge.number)}/merge", body)
        except Declined as error:
            raise _not_merged(error) from error
        made = await self._whole(_read(answer.body if answer.status != 202 else await self._later(merge)))
        if made.merge_sha is None:
            raise Transient(
                f"{self._client.base} took the merge of #{merge.number} and has not made it yet; look again"
            )
        return made.merge_sha

    async def _later(self, merge: Merge) -> JsonValue:
        for wait_s in LOOKS_S:
            await anyio.sleep(wait_s)
            shown = (await self._client.ask("GET", self._pull(merge.number))).body
            if text(shown, "state") == "MERGED":
                return shown
        return None

    async def comment(self, number: int, text: str) -> None:
        await self._client.ask("POST", f"{self._pull(number)}/comments", {"content": {"raw": text}})

    async def close(self, number: int) -> None:
        await self._client.ask("POST", f"{self._pull(number)}/decline")

    async def decorate(self, number: int, decoration: Decoration) -> tuple[str, ...]:
        failed = ["labels: Bitbucket has none"] if decoration.labels else []
        if not decoration.reviewers:
            return tuple(failed)
        shown = (await self._client.ask("GET", self._pull(number))).body
        there: list[JsonValue] = [{"uuid": text(one, "uuid")} for one in objects(shown, "reviewers")]
        wanted: list[JsonValue] = [
            {"uuid" if one.startswith("{") else "account_id": one} for one in decoration.reviewers
        ]
        try:
            body: JsonValue = {"title": text(shown, "title"), "reviewers": [*there, *wanted]}
            await self._client.ask("PUT", self._pull(number), body)
        except (Declined, NotFound) as error:
            failed.append(f"reviewers: {error}")
        return tuple(failed)

    async def set_status(self, status: Status) -> None:
        body: JsonValue = {
            "key": status.context[:40],
            "name": status.context,
            "state": _STATUSES[status.state],
            "description": status.description[:255],
            # Bitbucket wants an address, whatever it is.
            "url": status.url or f"https://bitbucket.org/{self._repository}",
        }
        await self._client.ask("POST", f"{self._path}/commit/{part(status.sha)}/statuses/build", body)

    async def _listed(self, path: str, query: Mapping[str, str]) -> list[JsonValue]:
        found: list[JsonValue] = []
        for page in range(1, PAGES + 1):
            answer = await self._client.ask("GET", path, query={**query, "page": str(page)})
            found += objects(answer.body, "values")
            if not text(answer.body, "next"):
                break
        return found

    def _pull(self, number: int) -> str:
        return f"{self._path}/pullrequests/{number:d}"


def _read(one: JsonValue) -> PullRequest:
    state = _STATES.get(text(one, "state"), "closed")
    return PullRequest(
        number=number(one, "id"),
        url=text(one, "links", "html", "href"),
        state=state,
        head=text(one, "source", "branch", "name"),
        base=text(one, "destination", "branch", "name"),
        head_sha=text(one, "source", "commit", "hash"),
        author=_name(at(one, "author")),
        title=text(one, "title"),
        body=text(one, "description") or text(one, "summary", "raw"),
        merge_sha=text(one, "merge_commit", "hash") or None if state == "merged" else None,
        merged_by=_name(at(one, "closed_by")) or None if state == "merged" else None,
        closed_by=_name(at(one, "closed_by")) or None if state == "closed" else None,
    )


def _name(user: JsonValue) -> str:
    return text(user, "account_id") or text(user, "uuid")


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _not_merged(error: Declined) -> Exception:
    return NotMergeable(str(error)) if error.status in (400, 409) else error
