"""A platform with something of everything on it, and its own description with the names of these things in it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.page_world import CLOUD_EVENT, TOKENS, PageWorld, page_world

CRONS = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: ["0 3 * * *"]
  timezone: UTC
  workflowSpec:
    entrypoint: say
    templates:
      - {name: say, container: {image: alpine:3, command: [sh, -c, "echo good night"]}}
"""
WHO = "ben"


@contextmanager
def contract_world(place: Path) -> Generator[PageWorld]:
    """Events, decisions, firings, a run that is over, promotions in several states, a hold, dead letters, a cron."""
    project = place / "project"
    project.mkdir(parents=True)
    (project / "crons.yaml").write_text(CRONS)
    with page_world(place) as world:
        world.go()
        world.day("2026-11-20")
        world.send("lake", "features", {"date": "2026-11-21", "rows": 1})
        live = world.model("21")
        world.approve(live, "ada", "cyd")
        world.model("22")
        world.send("lab", "model", {"candidate": "soon"})
        held = {"environment": "staging", "reason": "stocktaking"}
        assert world.ask(WHO, "POST", "/api/v1/promotions/orders/hold", held).status == 200
        world.platform.wait(lambda: world.items("deadletters"), "a letter is dead")
        world.platform.wait(
            lambda: [one for one in world.items("runs") if one["status"]["phase"] == "Succeeded"], "the run is over"
        )
        yield world


def with_examples(world: PageWorld) -> dict[str, Any]:
    """The platform's description, with names of what is there as examples of parameters."""
    page: dict[str, Any] = world.ask(WHO, "GET", "/openapi.json").body
    (run, *_), (firing, *_) = world.items("runs"), world.items("firings")
    nodes = world.ask(WHO, "GET", f"/api/v1/runs/{run['metadata']['name']}").body["status"]["nodes"]
    pod = next(one for one in nodes.values() if one["displayName"] == "package")
    names = {
        "runs": run["metadata"]["name"],
        "crons": "nightly",
        "sensors": "promote-orders",
        "sources": "lake",
        "models": "orders",
        "promotions": next(one["id"] for one in world.items("promotions") if one["state"] == "awaiting"),
    }
    known = {
        "firing_id": firing["id"],
        "letter_id": world.items("deadletters")[0]["id"],
        "id": firing["events"][0],
        "node": pod["id"],
        "artifact": "losses",
        "sensor": "promote-orders",
        "kind": "not-found",
        "q": "orders",
    }
    # What ends all else is asked for last, by a test of its own.
    del page["paths"]["/api/v1/runs/{name}/{verb}"]
    for path, methods in page["paths"].items():
        noun = path.removeprefix("/api/v1/").split("/")[0]
        for operation in methods.values():
            for one in operation.get("parameters", ()):
                value = known.get(one["name"]) or (names.get(noun) if one["name"] == "name" else None)
                if value and one["in"] in {"path", "query"}:
                    one["schema"] = {"enum": [value]} if one["in"] == "path" else one["schema"]
                    one["examples"] = {"there": {"value": value}}
    return page


def token() -> str:
    """Of somebody who may do all that a platform's people do every day."""
    return TOKENS[WHO]


__all__ = ["CLOUD_EVENT", "PageWorld", "contract_world", "json", "token", "with_examples"]
