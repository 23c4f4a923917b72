"""The platform is what its /openapi.json says: schemathesis asks all of it, right and wrong, of one that has something
of everything. No answer is a 5xx but a 503 that says when to come again, and each is such as is described."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.contract_world import PageWorld, contract_world, token, with_examples

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

ALL = os.environ.get("RETRAIN_TEST_FAULTS") == "all"
"""Whether there is time for more than a look at each."""
SETTINGS = """\
# What is right by its form may be wrong by its sense (a cursor that no list gave, a NUL in a text): 400 and 422 say so.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 412, 422, 503]

# `If-Match` is looked at first.
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 414, 415, 422]

# A sensor, or a letter, may have this name: GET looks for it.
[[operations]]
include-path-regex = "/api/v1/(sensors/replay|deadletters/redrive)"
checks.unsupported_method.enabled = false
checks.allow_header_conformance.enabled = false
"""
ENDLESS = ("tail_events",)
"""What streams until the platform stops, and has tests of its own."""
PLAN = {
    "form": ["--phases", "examples,coverage"],
    "dice": ["--phases", "fuzzing", "-n", "200" if ALL else "4", "--suppress-health-check", "all"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    with contract_world(tmp_path_factory.mktemp("contract")) as found:
        yield found
        assert found.platform.stop() == 0


@pytest.fixture(scope="module")
def description(world: PageWorld) -> str:
    return json.dumps(with_examples(world))


@pytest.mark.parametrize("phase", PLAN)
def test_every_answer_is_as_it_is_described(world: PageWorld, description: str, tmp_path: Path, phase: str) -> None:
    (tmp_path / "openapi.json").write_text(description)
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    words = [str(Path(sys.executable).with_name("schemathesis")), "run", "openapi.json", "--url", world.url]
    words += ["-H", f"Authorization: Bearer {token()}", "--seed", "1", "--no-color", "--continue-on-failure"]
    words += ["--request-timeout", "30", *PLAN[phase]]
    for name in ENDLESS:
        words += ["--exclude-operation-id", name]

    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=580)

    assert done.returncode == 0, f"{done.stdout[-12000:]}\n{done.stderr}\n{world.platform.last_lines(5)}"
    asked = re.search(r"(\d+) generated", done.stdout)
    assert asked is not None
    assert int(asked[1]) > 200
    assert "http.bug" not in world.platform.log.read_text()


def test_what_is_refused_at_the_door_is_a_problem_too(world: PageWorld) -> None:
    send = world.platform.send
    stranger = send("GET", "/api/v1/runs")
    viewer = world.ask("vic", "POST", "/api/v1/reload", {})
    broken = world.ask("ben", "POST", "/api/v1/events", b"{", **{"Content-Type": "application/cloudevents+json"})
    nowhere = world.ask("vic", "GET", "/api/v1/nothing")

    assert [one.status for one in (stranger, viewer, broken, nowhere)] == [401, 403, 400, 404]
    for one in (stranger, viewer, broken, nowhere):
        assert one.body["type"].startswith("/problems/"), one
        assert one.body["detail"] == one.body["error"]
        assert world.ask("vic", "GET", one.body["type"]).status == 200


def test_a_run_is_deleted_once_and_what_looked_at_it_before_is_told(world: PageWorld) -> None:
    name = world.items("runs")[0]["metadata"]["name"]
    old = world.ask("ben", "POST", f"/api/v1/runs/{name}/delete", {}, **{"If-Match": '"another"'})
    gone = world.ask("ben", "POST", f"/api/v1/runs/{name}/delete", {})
    again = world.ask("ben", "POST", f"/api/v1/runs/{name}/delete", {})

    assert [old.status, gone.status, again.status] == [412, 200, 404]
