"""GitLab, as it delivers webhooks: shapes of its documentation, not GitLab itself."""

from __future__ import annotations

from typing import Any

from retrain.events import Event
from tests.contract.outside.calling import SECRET, Called


class Outside(Called):
    kind = "gitlab"
    payload = frozenset({"headers", "body"})
    secret_field = "secretToken"

    def entry(self) -> dict[str, Any]:
        api = {"gitlabBaseURL": "https://gitlab.example.org", "accessToken": {"name": "api", "key": "token"}}
        return {**super().entry(), **api, "events": ["PushEvents"]}

    def body(self, name: str) -> Any:
        return {"object_kind": "push", "ref": f"refs/heads/{name}"}

    def headers(self, name: str, raw: bytes) -> dict[str, str]:
        return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": SECRET, "Idempotency-Key": name}

    def name_in(self, event: Event) -> str:
        return event.data["body"]["ref"].removeprefix("refs/heads/")
