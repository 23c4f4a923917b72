"""Commits made by GitHub itself: signed by it, and only if the branch is where we think.

Source: https://docs.github.com/en/graphql/reference/mutations (createCommitOnBranch, updateRefs)
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from deploy.forges.errors import AuthFailed, Declined, Race, RateLimited, Rejected
from deploy.forges.http import SAID, JsonClient
from deploy.forges.reading import at, objects, text
from deploy.names import one_line
from retrain.errors import NotFound, Permanent, Transient
from retrain.events import JsonValue

_COMMIT = "mutation($input: CreateCommitOnBranchInput!) { createCommitOnBranch(input: $input) { commit { oid } } }"
_MOVE = "mutation($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }"
_RACES = ("expected branch to point to", "no longer", "stale", "beforeoid", "before oid", "reference already exists")


async def commit_on_branch(
    client: JsonClient, repository: str, branch: str, expected_head: str, files: Mapping[str, bytes], message: str
) -> str:
    """A commit on top of a branch in which `files` have new contents; its SHA.

    GitHub writes its own committer, keeps no modes but those of files that exist, and takes about 40 MB in all.

    Raises:
        Race: the branch is not at `expected_head`.
    """
    headline, _, body = message.partition("\n")
    wanted: JsonValue = {
        "branch": {"repositoryNameWithOwner": repository, "branchName": branch},
        "expectedHeadOid": expected_head,
        "message": {"headline": headline, "body": body.strip("\n")},
        "fileChanges": {
            "additions": [
                {"path": path, "contents": b64encode(content).decode()} for path, content in sorted(files.items())
            ]
        },
    }
    answer = await _mutate(client, _COMMIT, wanted)
    sha = text(answer, "createCommitOnBranch", "commit", "oid")
    if not sha:
        raise Transient(f"{graphql_of(client.base)} says nothing of the commit it was asked for; look at the branch")
    return sha


async def move_branch(client: JsonClient, path: str, branch: str, before: str | None, after: str) -> None:
    """Set `branch` of the repository at `path` from `before` to `after`, by force; `before` None makes it.

    Raises:
        Race: it is not at `before`, or is there already.
    """
    ref = f"refs/heads/{branch}"
    if before is None:
        try:
            await client.ask("POST", f"{path}/git/refs", {"ref": ref, "sha": after})
        except Declined as error:
            raise _told(str(error), "", error.said) if error.status == 422 else error from error
        return
    shown = await client.ask("GET", path)
    move: JsonValue = {"name": ref, "beforeOid": before, "afterOid": after, "force": True}
    await _mutate(client, _MOVE, {"repositoryId": text(shown.body, "node_id"), "refUpdates": [move]})


async def _mutate(client: JsonClient, query: str, wanted: JsonValue) -> JsonValue:
    url = graphql_of(client.base)
    answer = await client.ask("POST", url, {"query": query, "variables": {"input": wanted}})
    if errors := objects(answer.body, "errors"):
        said = one_line("; ".join(text(one, "message") for one in errors), SAID)
        raise _told(f"POST {url}: {said}", text(errors[0], "type"), said)
    return at(answer.body, "data")


def _told(message: str, kind: str, said: str) -> Exception:
    """The error that GraphQL's words mean: its status is 200 whatever went wrong."""
    if kind == "STALE_DATA" or any(words in said.lower() for words in _RACES):
        return Race(message)
    if kind == "RATE_LIMITED":
        return RateLimited(message, 60.0)
    known: dict[str, type[Permanent | NotFound]] = {"FORBIDDEN": AuthFailed, "NOT_FOUND": NotFound}
    return known.get(kind, Rejected)(message)


def graphql_of(base: str) -> str:
    """The address of GraphQL beside that of REST: `/graphql`, on an Enterprise Server `/api/graphql`."""
    return f"{base.removesuffix('/v3')}/graphql"
