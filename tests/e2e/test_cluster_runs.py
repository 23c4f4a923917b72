"""Commands on runs that Argo's controller works on: each verb, on a real cluster, without an Argo Server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.cluster_runs_world import LONG_S, NO_PODS, STEPS, TRAIN, WAITS, ClusterRuns, cluster_runs
from tests.e2e.page_browser import leave, violations, visitor
from tests.servers.cluster_server import ClusterServer

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]

BYE = """
entrypoint: main
onExit: bye
templates:
  - {name: main, suspend: {}}
  - name: bye
    container: {image: busybox, command: [echo, bye]}
"""


@pytest.fixture(scope="module")
def world(argo_cluster: ClusterServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterRuns]:
    workflows = {"steps": STEPS, "waits": WAITS, "nopods": NO_PODS, "bye": BYE}
    with cluster_runs(tmp_path_factory.mktemp("runs"), argo_cluster, workflows) as found:
        yield found


def step(run: dict[str, Any], name: str) -> dict[str, Any]:
    return next(node for node in run["status"]["nodes"].values() if node["displayName"] == name)


def until_step(world: ClusterRuns, run: str, name: str, phase: str) -> dict[str, Any]:
    """Wait until a step of a run is there, in this phase; the step."""

    def met() -> dict[str, Any]:
        nodes = (world.run(run)["status"].get("nodes") or {}).values()
        return next((node for node in nodes if node["displayName"] == name and node["phase"] == phase), {})

    return world.platform.wait(met, f"{name} of {run} is {phase}", LONG_S)


def test_a_run_that_failed_is_retried_to_its_success(world: ClusterRuns) -> None:
    name = world.submit("steps")
    failed = world.until(name, "Failed")
    assert (step(failed, "good")["phase"], step(failed, "bad")["phase"]) == ("Succeeded", "Failed")

    world.command("retry", name, "-p", "word=yes", "--wait")

    run = world.run(name)
    assert run["status"]["phase"] == "Succeeded"
    assert step(run, "good")["finishedAt"] == step(failed, "good")["finishedAt"]
    assert step(run, "after")["phase"] == "Succeeded"
    assert "judging" in world.command("logs", name, "bad")
    world.platform.wait(lambda: len(world.events(name)) == 3, "its second end is told", LONG_S)
    assert world.events(name) == ["started", "failed", "succeeded.1"]
    assert (world.object(name) or {})["status"]["phase"] == "Succeeded"


def test_a_retry_that_cannot_be_changes_nothing(world: ClusterRuns) -> None:
    name = world.submit("steps")
    world.until(name, "Failed")
    before = world.object(name)

    unknown = world.done("retry", name, "-p", "nope=1")
    selector = world.done("retry", name, "--node-field-selector", "displayName=good")

    assert (unknown.returncode, "it has word" in unknown.stderr) == (2, True)
    assert (selector.returncode, "--restart-successful" in selector.stderr) == (2, True)
    assert world.object(name) == before


def test_a_failed_run_is_resubmitted_with_what_had_succeeded(world: ClusterRuns) -> None:
    name = world.submit("steps")
    world.until(name, "Failed")

    made = json.loads(world.command("resubmit", name, "--memoized", "-p", "word=yes", "-o", "json"))

    new = world.until(made["name"], "Succeeded")
    assert step(new, "good")["message"].startswith(f"original pod: {name}-")
    assert step(new, "after")["phase"] == "Succeeded"
    assert new["metadata"]["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] == name
    anew = json.loads(world.command("resubmit", name, "-p", "word=yes", "-o", "json"))
    assert step(world.until(anew["name"], "Succeeded"), "good").get("message", "") == ""


def test_a_person_gives_a_value_and_the_run_goes_on(world: ClusterRuns) -> None:
    name = world.submit("waits")
    until_step(world, name, "approve", "Running")

    refused = world.done("set", name, "--output-parameter", "said=maybe")
    world.command("set", name, "--node-field-selector", "displayName=approve", "--output-parameter", "said=yes")
    world.command("resume", name, "--node-field-selector", "displayName=approve", "--message", "looks fine")

    run = world.until(name, "Succeeded")
    assert (refused.returncode, "must be one of yes, no" in refused.stderr) == (2, True)
    assert step(run, "approve")["message"] == "looks fine"
    assert step(run, "tell")["inputs"]["parameters"] == [{"name": "said", "value": "yes"}]
    assert "it was yes" in world.command("logs", name)


def test_a_run_is_suspended_and_goes_on(world: ClusterRuns) -> None:
    name = world.submit("nopods")
    until_step(world, name, "wait", "Running")

    world.command("suspend", name)
    suspended = world.command("get", name)
    world.command("resume", name)

    assert "Running (Suspended)" in suspended
    assert step(world.until(name, "Succeeded"), "wait")["phase"] == "Succeeded"
    over = world.done("suspend", name)
    assert (over.returncode, "is over (Succeeded)" in over.stderr) == (1, True)


def test_a_suspended_step_fails_when_it_is_stopped(world: ClusterRuns) -> None:
    name = world.submit("nopods")
    until_step(world, name, "wait", "Running")

    world.command("stop", name, "--node-field-selector", "displayName=wait", "--message", "no budget")

    assert step(world.until(name, "Failed"), "wait")["message"] == "no budget"


@pytest.mark.parametrize(("verb", "handlers"), [("stop", 1), ("terminate", 0)])
def test_stopping_runs_the_exit_handler_and_terminating_does_not(world: ClusterRuns, verb: str, handlers: int) -> None:
    name = world.submit("bye")
    until_step(world, name, name, "Running")

    world.command(verb, name)

    run = world.until(name, "Failed")
    exits = [node for node in run["status"]["nodes"].values() if node["name"] == f"{name}.onExit"]
    assert len(exits) == handlers
    assert run["spec"]["shutdown"] == verb.capitalize()


def test_deleting_a_run_deletes_its_workflow(world: ClusterRuns) -> None:
    over, running = world.submit("nopods"), world.submit("nopods")
    until_step(world, over, "wait", "Running")
    until_step(world, running, "wait", "Running")
    world.command("resume", over)
    world.until(over, "Succeeded")

    world.command("delete", over, running)

    assert world.object(over) is None
    assert world.done("get", over).returncode == 1
    world.platform.wait(lambda: world.done("get", running).returncode == 1, "what was running is over and gone", LONG_S)
    assert world.object(running) is None
    assert world.events(running) == ["started", "failed"]


def test_what_was_deleted_by_others_is_said(world: ClusterRuns) -> None:
    name = world.submit("steps")
    world.until(name, "Failed")
    world.cluster.ask("DELETE", world.path(name))
    world.platform.wait(lambda: world.object(name) is None, "its object is gone", LONG_S)

    done = world.done("retry", name)

    assert done.returncode == 1
    assert f"Workflow {world.namespace}/{name} is not on the cluster any more" in done.stderr
    assert "✖ bad" in world.command("get", name)


def test_watching_shows_the_tree_and_its_end(world: ClusterRuns) -> None:
    name = world.submit("steps")

    done = world.done("watch", name)

    assert done.returncode == 1
    assert "├───✔ good" in done.stdout
    assert "└───✖ bad" in done.stdout


def test_the_page_shows_a_run_and_its_buttons_steer_it(world: ClusterRuns, browser: Browser, tmp_path: Path) -> None:
    """As a local one: its graph moves, its log comes as it is written, it is stopped and tried again."""
    world.learn("train", TRAIN.replace("GATE", str(tmp_path)))
    name = world.submit("train")
    page = visitor(browser, world.platform.url, "", viewport={"width": 1280, "height": 900})
    page.goto(f"{world.platform.url}/ui/run?name={name}")
    graph = page.get_by_role("region", name="Graph of the run")
    expect(graph.get_by_text("train(1:forest)", exact=True)).to_be_visible(timeout=1000 * LONG_S)
    until_step(world, name, "train(1:forest)", "Running")
    expect(page.get_by_role("definition").filter(has_text="on the cluster")).to_contain_text(world.namespace)
    assert violations(page) == []

    page.get_by_role("link", name="Log of all steps").click()
    log = page.get_by_role("log")
    for said in ("rows of 2026-11-22 are fine", "linear epoch 1", "forest epoch 1"):
        expect(log).to_contain_text(said)
    later = 1 + max(map(int, re.findall(r"forest epoch (\d+)", log.inner_text())))
    expect(log).to_contain_text(f"forest epoch {later}")
    assert log.inner_text().count("forest epoch 1\n") == 1
    assert violations(page) == []

    page.go_back()
    page.get_by_role("button", name="Stop").click()
    world.until(name, "Failed")
    expect(page.get_by_role("region", name="Steps that failed")).to_contain_text("train(0:linear)")
    (tmp_path / "open").touch()
    page.get_by_role("button", name="Retry what failed").click()
    world.until(name, "Succeeded")
    expect(page.get_by_role("definition").filter(has_text="Succeeded")).to_contain_text("3/3 steps")
    page.get_by_role("link", name="Log of train(0:linear)").click()
    expect(page.get_by_role("log")).to_contain_text("linear is trained")
    leave(page)


@pytest.mark.parametrize("verb", ["suspend", "logs"])
def test_what_an_account_may_not_do_is_named(argo_cluster: ClusterServer, tmp_path: Path, verb: str) -> None:
    """An account that may make and watch Workflows, and nothing else."""
    with argo_cluster.space("b-few") as account:
        with cluster_runs(tmp_path, argo_cluster, {"steps": STEPS, "nopods": NO_PODS}) as whole:
            allowed = {"argoproj.io/workflows": ["get", "list", "watch", "create"], "/pods": ["get"]}
            kubeconfig = argo_cluster.account(account, allowed, whole.namespace)
            name = whole.submit("steps" if verb == "logs" else "nopods")
            whole.until(name, "Failed" if verb == "logs" else "Running")
            assert whole.platform.stop() == 0
            (tmp_path / "kubeconfig").write_text(kubeconfig)
            whole.platform.launch()
            whole.platform.await_ready(LONG_S)

            done = whole.done(verb, name)

        assert done.returncode == 2
        what = "pods/log" if verb == "logs" else "workflows"
        assert f'cannot {"get" if verb == "logs" else "patch"} resource "{what}"' in done.stderr
