"""GitHub, GitLab and Bitbucket Cloud as their public API documentation describes them: paths, fields, statuses, words.

Written from the documentation, not recorded from the servers: see docs on which forge is run for real.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.contract.forge_world import BOT, TOKEN, Pull, Reply, Request, Said, World, stamp


def _match(pattern: str, request: Request) -> tuple[str, ...] | None:
    method, _, path = pattern.partition(" ")
    found = re.fullmatch(path, request.path) if request.method == method else None
    return tuple(unquote(group) for group in found.groups()) if found else None


@dataclass
class GitHubShape:
    """https://docs.github.com/en/rest/pulls; the repository is acme/deploy."""

    world: World = field(default_factory=World)
    tokens: tuple[str, ...] = (TOKEN,)
    labels_fail: bool = False

    def logged_in(self, headers: Mapping[str, str]) -> bool:
        given = headers.get("Authorization", "").removeprefix("Bearer ")
        return given in self.tokens or given.count(".") == 2

    def answer(self, request: Request) -> Reply:
        if found := _match(r"POST /api/app/installations/(\d+)/access_tokens", request):
            return 201, {"token": f"installation-{found[0]}", "expires_at": "2099-01-01T00:00:00Z"}
        if request.path == "/api/graphql":
            return 200, self._graphql(request.body)
        if not request.path.startswith("/api/repos/acme/deploy"):
            raise Said(404, "Not Found")
        request.path = request.path.removeprefix("/api/repos/acme/deploy")
        if found := _match(
            r"(?:GET|PATCH|PUT|POST) /pulls/(\d+)(.*)".replace("(?:GET|PATCH|PUT|POST)", request.method), request
        ):
            return self._pull(self._known(int(found[0])), found[1], request)
        if found := _match(r"GET /issues/(\d+)", request):
            is_open = self._known(int(found[0])).state == "open"
            return 200, {"closed_by": None if is_open else {"login": BOT}}
        if found := _match(r"POST /issues/(\d+)/(labels|comments)", request):
            return self._issue(self._known(int(found[0])), found[1], request.body)
        return self._rest(request)

    def _rest(self, request: Request) -> Reply:
        world, body = self.world, request.body
        if _match("GET /pulls", request) is not None:
            wanted = request.query["head"].partition(":")[2], request.query["base"]
            found = [one for one in world.pulls.values() if (one.head, one.base) == wanted]
            return 200, [self._show(one) for one in reversed(found)] + [self._fork(*wanted)]
        if _match("POST /pulls", request) is not None:
            if world.opened(body["head"], body["base"]):
                raise Said(422, f"Validation Failed; A pull request already exists for acme:{body['head']}.")
            return 201, self._show(world.open(body["head"], body["base"], body["title"], body["body"]))
        if found := _match("GET /branches/(.*)", request):
            return 200, {"name": found[0], "commit": self._commit(self._tip(found[0]))}
        if found := _match("POST /statuses/(.*)", request):
            world.statuses.append({"sha": found[0], **body})
            return 201, body
        if found := _match("DELETE /git/refs/heads/(.*)", request):
            world.branches.pop(found[0])
            return 204, None
        if _match("POST /git/refs", request) is not None:
            name = body["ref"].removeprefix("refs/heads/")
            if name in world.branches:
                raise Said(422, "Reference already exists")
            world.move(name, body["sha"])
            return 201, {"ref": body["ref"]}
        if _match("GET ", request) is not None:
            return 200, {"node_id": "R_1"}
        raise Said(404, "Not Found")

    def _fork(self, head: str, base: str) -> dict[str, Any]:
        """A stranger's pull request from a branch of the same name."""
        fork = {"ref": head, "sha": "f" * 40, "repo": {"full_name": "mallory/deploy"}}
        return {"number": 999, "state": "open", "head": fork, "base": {"ref": base}, "merged_at": None}

    def _known(self, number: int) -> Pull:
        if number not in self.world.pulls:
            raise Said(404, "Not Found")
        return self.world.pulls[number]

    def _tip(self, branch: str) -> str:
        if branch not in self.world.branches:
            raise Said(404, "Branch not found")
        return self.world.branches[branch]

    def _commit(self, sha: str) -> dict[str, Any]:
        one = self.world.commits[sha]
        person = {"name": "x", "email": one.email, "date": "2026-11-21T12:00:00Z"}
        commit = {"message": one.message, "author": person, "committer": person}
        return {"sha": sha, "commit": commit, "parents": [{"sha": parent} for parent in one.parents]}

    def _show(self, pull: Pull) -> dict[str, Any]:
        repo = {"full_name": "acme/deploy"}
        looked = pull.state == "open"
        conflict = looked and self.world.conflicts(pull)
        return {
            "number": pull.number,
            "html_url": f"https://github.com/acme/deploy/pull/{pull.number}",
            "state": "open" if looked else "closed",
            "draft": False,
            "title": pull.title,
            "body": pull.body,
            "user": {"login": BOT},
            "head": {"ref": pull.head, "sha": pull.head_sha, "repo": repo},
            "base": {"ref": pull.base, "sha": self.world.branches[pull.base], "repo": repo},
            "merged": pull.state == "merged",
            "merged_at": "2026-11-21T12:00:00Z" if pull.state == "merged" else None,
            "merge_commit_sha": pull.merge_sha or "7" * 40,
            "merged_by": {"login": BOT} if pull.state == "merged" else None,
            "mergeable": not conflict if looked else None,
            "mergeable_state": ("dirty" if conflict else "clean") if looked else "unknown",
        }

    def _pull(self, pull: Pull, rest: str, request: Request) -> Reply:
        body = request.body
        match request.method, rest:
            case "GET", "":
                return 200, self._show(pull)
            case "PATCH", "":
                pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
                pull.state = "closed" if body.get("state") == "closed" else pull.state
                return 200, self._show(pull)
            case "GET", "/reviews":
                said = {True: "APPROVED", False: "CHANGES_REQUESTED"}
                return 200, [
                    {"user": {"login": r.who}, "state": said[r.yes], "commit_id": r.sha, "submitted_at": stamp(r.at)}
                    for r in pull.reviews
                ]
            case "PUT", "/merge":
                return 200, {
                    "sha": self._merge(pull, body),
                    "merged": True,
                    "message": "Pull Request successfully merged",
                }
            case "POST", "/requested_reviewers":
                if set(body["reviewers"]) - set(self.world.people):
                    raise Said(422, "Reviews may only be requested from collaborators.")
                pull.reviewers += body["reviewers"]
                return 201, self._show(pull)
            case _:
                raise Said(404, "Not Found")

    def _merge(self, pull: Pull, body: Any) -> str:
        if body["sha"] != pull.head_sha:
            raise Said(409, "Head branch was modified. Review and try the merge again.")
        if pull.state != "open" or self.world.conflicts(pull):
            raise Said(405, "Pull Request is not mergeable")
        message = f"{body['commit_title']}\n\n{body['commit_message']}".strip()
        return self.world.merge(pull, body["merge_method"], message, delete=False)

    def _issue(self, pull: Pull, what: str, body: Any) -> Reply:
        if what == "labels" and self.labels_fail:
            raise Said(422, "Validation Failed")
        (pull.labels.extend(body["labels"]) if what == "labels" else pull.comments.append(body["body"]))
        return 201, []

    def _graphql(self, body: Any) -> dict[str, Any]:
        wanted = body["variables"]["input"]
        if "updateRefs" in body["query"]:
            (move,) = wanted["refUpdates"]
            name = move["name"].removeprefix("refs/heads/")
            if self.world.branches.get(name) != move["beforeOid"]:
                return {"errors": [{"type": "UNPROCESSABLE", "message": f"beforeOid of {name} does not match"}]}
            self.world.move(name, move["afterOid"])
            return {"data": {"updateRefs": {"clientMutationId": None}}}
        branch = wanted["branch"]["branchName"]
        tip = self.world.branches.get(branch)
        if tip != wanted["expectedHeadOid"]:
            message = f'Expected branch to point to "{tip}" but it did not. Pull and try again.'
            return {"data": {"createCommitOnBranch": None}, "errors": [{"type": "STALE_DATA", "message": message}]}
        added = {one["path"]: b64decode(one["contents"]).decode() for one in wanted["fileChanges"]["additions"]}
        message = f"{wanted['message']['headline']}\n\n{wanted['message']['body']}"
        sha = self.world.commit((tip,), {**self.world.commits[tip].files, **added}, message, "noreply@github.com")
        self.world.move(branch, sha)
        return {"data": {"createCommitOnBranch": {"commit": {"oid": sha}}}}


@dataclass
class GitLabShape:
    """https://docs.gitlab.com/api/merge_requests/; the project is acme/models/deploy."""

    world: World = field(default_factory=World)

    def logged_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("PRIVATE-TOKEN") == TOKEN

    def answer(self, request: Request) -> Reply:
        if _match("GET /api/users", request) is not None:
            name = request.query["username"]
            return 200, [{"id": 40 + len(name), "username": name}] if name in self.world.people else []
        if not request.path.startswith("/api/projects/acme%2Fmodels%2Fdeploy/"):
            raise Said(404, "404 Project Not Found")
        request.path = request.path.removeprefix("/api/projects/acme%2Fmodels%2Fdeploy")
        found = re.fullmatch(r"/merge_requests/(\d+)(/.*)?", request.path)
        if found:
            if int(found[1]) not in self.world.pulls:
                raise Said(404, "404 Not found")
            return self._pull(self.world.pulls[int(found[1])], found[2] or "", request)
        return self._rest(request)

    def _rest(self, request: Request) -> Reply:
        world, body = self.world, request.body
        if _match("GET /merge_requests", request) is not None:
            wanted = request.query["source_branch"], request.query["target_branch"]
            found = [one for one in world.pulls.values() if (one.head, one.base) == wanted]
            fork = {"iid": 999, "state": "opened", "source_project_id": 9, "target_project_id": 3}
            return 200, [*map(self._show, found), {**fork, "source_branch": wanted[0], "target_branch": wanted[1]}]
        if _match("POST /merge_requests", request) is not None:
            if there := world.opened(body["source_branch"], body["target_branch"]):
                raise Said(409, f"Another open merge request already exists for this source branch: !{there.number}")
            made = world.open(body["source_branch"], body["target_branch"], body["title"], body["description"])
            return 201, self._show(made)
        if found := _match("GET /repository/branches/(.*)", request):
            if found[0] not in world.branches:
                raise Said(404, "404 Branch Not Found")
            one = world.commits[world.branches[found[0]]]
            emails = {"author_email": one.email, "committer_email": one.email}
            commit = {"id": one.sha, "message": one.message, "parent_ids": list(one.parents), **emails}
            return 200, {"name": found[0], "commit": commit}
        if found := _match("POST /statuses/(.*)", request):
            world.statuses.append({"sha": found[0], **body})
            return 201, body
        raise Said(404, "404 Not Found")

    def _show(self, pull: Pull) -> dict[str, Any]:
        conflict = pull.state == "open" and self.world.conflicts(pull)
        return {
            "iid": pull.number,
            "web_url": f"https://gitlab.example.com/acme/models/deploy/-/merge_requests/{pull.number}",
            "state": {"open": "opened"}.get(pull.state, pull.state),
            "title": pull.title,
            "description": pull.body,
            "author": {"username": BOT},
            "source_branch": pull.head,
            "target_branch": pull.base,
            "source_project_id": 3,
            "target_project_id": 3,
            "sha": pull.head_sha,
            "merge_commit_sha": pull.merge_sha,
            "squash_commit_sha": None,
            "merge_user": {"username": BOT} if pull.state == "merged" else None,
            "closed_by": {"username": BOT} if pull.state == "closed" else None,
            "has_conflicts": conflict,
            "detailed_merge_status": "not_open" if pull.state != "open" else "conflict" if conflict else "mergeable",
        }

    def _pull(self, pull: Pull, rest: str, request: Request) -> Reply:
        body = request.body
        match request.method, rest:
            case "GET", "":
                return 200, self._show(pull)
            case "GET", "/approvals":
                said = [{"user": {"username": r.who}, "approved_at": stamp(r.at)} for r in pull.reviews if r.yes]
                return 200, {"iid": pull.number, "approved_by": said}
            case "GET", "/versions":
                return 200, [
                    {"id": n, "head_commit_sha": sha, "created_at": stamp(at)}
                    for n, (at, sha) in enumerate(pull.pushes)
                ]
            case "PUT", "":
                return self._edit(pull, body)
            case "PUT", "/merge":
                return self._merge(pull, body)
            case "POST", "/notes":
                pull.comments.append(body["body"])
                return 201, {"id": 1, "body": body["body"]}
            case _:
                raise Said(404, "404 Not Found")

    def _edit(self, pull: Pull, body: Any) -> Reply:
        pull.title, pull.body = body.get("title", pull.title), body.get("description", pull.body)
        pull.state = "closed" if body.get("state_event") == "close" else pull.state
        pull.labels += body.get("add_labels", "").split(",") if body.get("add_labels") else []
        ids = {40 + len(name): name for name in self.world.people}
        pull.reviewers += [ids[one] for one in body.get("reviewer_ids", [])]
        return 200, self._show(pull)

    def _merge(self, pull: Pull, body: Any) -> Reply:
        if body["sha"] != pull.head_sha:
            raise Said(409, "SHA does not match HEAD of source branch")
        if pull.state != "open":
            raise Said(405, "405 Method Not Allowed")
        if self.world.conflicts(pull):
            raise Said(422, "Branch cannot be merged")
        message = body.get("squash_commit_message") or body["merge_commit_message"]
        method = "squash" if body["squash"] else "merge"
        self.world.merge(pull, method, message, delete=body["should_remove_source_branch"])
        return 200, self._show(pull)


@dataclass
class BitbucketShape:
    """https://developer.atlassian.com/cloud/bitbucket/rest/; the repository is acme/deploy. Commits have 12 digits."""

    world: World = field(default_factory=World)
    later: bool = False

    def logged_in(self, headers: Mapping[str, str]) -> bool:
        return headers.get("Authorization") == f"Bearer {TOKEN}"

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith("/api/repositories/acme/deploy/"):
            raise Said(404, "Repository acme/other not found")
        request.path = request.path.removeprefix("/api/repositories/acme/deploy")
        found = re.fullmatch(r"/pullrequests/(\d+)(/.*)?", request.path)
        if found:
            if int(found[1]) not in self.world.pulls:
                raise Said(404, "pull request not found")
            return self._pull(self.world.pulls[int(found[1])], found[2] or "", request)
        return self._rest(request)

    def _rest(self, request: Request) -> Reply:
        world, body = self.world, request.body
        if _match("GET /pullrequests", request) is not None:
            wanted = re.findall(r'branch\.name = "([^"]*)"', request.query["q"])
            found = [self._show(one) for one in world.pulls.values() if [one.head, one.base] == wanted]
            fork = self._show(Pull(999, wanted[0], wanted[1], "x", "y", "f" * 40))
            fork["source"]["repository"] = {"full_name": "mallory/deploy"}
            return 200, {"values": [*found, fork], "page": 1}
        if _match("POST /pullrequests", request) is not None:
            names = body["source"]["branch"]["name"], body["destination"]["branch"]["name"]
            return 201, self._show(world.open(*names, body["title"], body["description"]))
        if found := _match("GET /refs/branches/(.*)", request):
            if found[0] not in world.branches:
                raise Said(404, "No such branch")
            one = world.commits[world.branches[found[0]]]
            parents = [{"hash": parent} for parent in one.parents]
            return 200, {
                "target": {
                    "hash": one.sha,
                    "message": one.message,
                    "author": {"raw": f"x <{one.email}>"},
                    "parents": parents,
                }
            }
        if found := _match("GET /commit/([0-9a-f]+)", request):
            whole = next((sha for sha in world.commits if sha.startswith(found[0])), None)
            if whole is None:
                raise Said(404, "commit not found")
            return 200, {"hash": whole}
        if found := _match("POST /commit/([0-9a-f]+)/statuses/build", request):
            world.statuses.append({"sha": found[0], **body})
            return 201, body
        raise Said(404, "Resource not found")

    def _show(self, pull: Pull) -> dict[str, Any]:
        repository = {"full_name": "acme/deploy"}
        said = {True: "approved", False: "changes_requested"}
        return {
            "id": pull.number,
            "links": {"html": {"href": f"https://bitbucket.org/acme/deploy/pull-requests/{pull.number}"}},
            "state": {"open": "OPEN", "merged": "MERGED", "closed": "DECLINED"}[pull.state],
            "title": pull.title,
            "description": pull.body,
            "author": {"account_id": BOT},
            "source": {"branch": {"name": pull.head}, "commit": {"hash": pull.head_sha[:12]}, "repository": repository},
            "destination": {"branch": {"name": pull.base}, "repository": repository},
            "merge_commit": {"hash": pull.merge_sha[:12]} if pull.merge_sha else None,
            "closed_by": {"account_id": BOT} if pull.state != "open" else None,
            "reviewers": [{"uuid": one} for one in pull.reviewers],
            "participants": [
                {"user": {"account_id": r.who}, "state": said[r.yes], "approved": r.yes, "participated_on": stamp(r.at)}
                for r in pull.reviews
            ],
        }

    def _pull(self, pull: Pull, rest: str, request: Request) -> Reply:
        body = request.body
        match request.method, rest:
            case "GET", "":
                return 200, self._show(pull)
            case "GET", "/diffstat":
                status = "merge conflict" if self.world.conflicts(pull) else "modified"
                return 200, {"values": [{"status": status, "new": {"path": "x"}}]}
            case "GET", "/activity":
                update = [
                    {"update": {"date": stamp(at), "source": {"commit": {"hash": sha[:12]}}}} for at, sha in pull.pushes
                ]
                return 200, {"values": [*update, {"approval": {"date": stamp(self.world.now)}}]}
            case "PUT", "":
                people = [one.get("uuid") or one["account_id"] for one in body.get("reviewers", [])]
                if set(people) - set(self.world.people):
                    raise Said(400, "reviewers: Malformed reviewers list")
                pull.title, pull.body = body.get("title", pull.title), body.get("description", pull.body)
                pull.reviewers = people or pull.reviewers
                return 200, self._show(pull)
            case "POST", "/merge":
                return self._merge(pull, body)
            case "POST", "/decline":
                pull.state = "closed"
                return 200, self._show(pull)
            case "POST", "/comments":
                pull.comments.append(body["content"]["raw"])
                return 201, {"id": 1}
            case _:
                raise Said(404, "Resource not found")

    def _merge(self, pull: Pull, body: Any) -> Reply:
        if pull.state != "open":
            raise Said(400, "This pull request is already closed.")
        if self.world.conflicts(pull):
            raise Said(400, "You can't merge until you resolve all merge conflicts.")
        method = {"merge_commit": "merge", "squash": "squash", "rebase_fast_forward": "rebase"}[body["merge_strategy"]]
        self.world.merge(pull, method, body["message"], delete=body["close_source_branch"])
        return (202, {}) if self.later else (200, self._show(pull))
