"""The fault points of workflows: the platform dies by SIGKILL at each, says nothing twice and loses nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.workflow_world import ONCE, WorkflowWorld, outputs

pytestmark = pytest.mark.slow

Make = Callable[[str], WorkflowWorld]

# Two steps one after the other, the second of which reads what the first said.
CHAIN = """\
  templates:
    - name: all
      steps:
        - - name: first
            template: say
            arguments: {parameters: [{name: mark, value: first}, {name: word, value: "1"}]}
        - - name: second
            template: say
            arguments:
              parameters: [{name: mark, value: second}, {name: word, value: "{{steps.first.outputs.result}}2"}]
      outputs: {parameters: [{name: said, valueFrom: {parameter: "{{steps.second.outputs.result}}"}}]}
    - name: say
      inputs: {parameters: [{name: mark}, {name: word}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-{{inputs.parameters.mark}}"
          echo {{inputs.parameters.word}}
          echo end >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-{{inputs.parameters.mark}}"
"""
# Three steps at once, of which one at a time may be in the folder `inside`.
LOCKED = """\
  templates:
    - name: all
      steps:
        - - name: one
            template: one
            withItems: [a, b, c]
            arguments: {parameters: [{name: who, value: "{{item}}"}]}
    - name: one
      inputs: {parameters: [{name: who}]}
      synchronization: {mutexes: [{name: inside}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          mark="$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-{{inputs.parameters.who}}"
          echo begin >> "$mark"
          mkdir "$RETRAIN_PROJECT/inside" || exit 1
          sleep 0.1
          rmdir "$RETRAIN_PROJECT/inside"
          echo end >> "$mark"
"""
# The second step takes what the first one gave.
MEMO = """\
  templates:
    - name: all
      steps: [[{name: first, template: make}], [{name: second, template: make}]]
      outputs:
        parameters:
          - {name: first, valueFrom: {parameter: "{{steps.first.outputs.parameters.made}}"}}
          - {name: second, valueFrom: {parameter: "{{steps.second.outputs.parameters.made}}"}}
    - name: make
      memoize: {key: only, cache: {configMap: {name: cache}}}
      outputs: {parameters: [{name: made, valueFrom: {path: made}}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/made"
          echo 7 > "$RETRAIN_OUTPUTS/made"
          echo end >> "$RETRAIN_PROJECT/marks/made"
"""
CRON = """\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: hourly}
spec:
  schedule: "0 * * * *"
  startingDeadlineSeconds: 8000
  workflowSpec:
    workflowTemplateRef: {name: job}
    arguments: {parameters: [{name: run, value: cron}]}
"""


@pytest.fixture
def make(tmp_path: Path) -> Generator[Make]:
    made: list[WorkflowWorld] = []

    def build(rest: str) -> WorkflowWorld:
        made.append(WorkflowWorld(tmp_path, rest))
        return made[-1]

    try:
        yield build
    finally:
        for world in made:
            world.platform.kill()
            world.platform.sweep()


def die_at(world: WorkflowWorld, fault: str, *asked: str) -> None:
    """Start with the fault armed, ask for runs until they are acknowledged, and see the platform die there."""
    world.start(fault)
    left = list(asked)

    def dead() -> bool:
        left[:] = [run for run in left if world.platform.running and not world.ask(run)]
        return not world.platform.running

    world.platform.wait(dead, f"it is killed at {fault}")
    assert world.platform.await_death() == -9, f"it was not killed at {fault}"


def go_on(world: WorkflowWorld, steps: int, *asked: str) -> list[dict[str, object]]:
    """Start again; the sender repeats himself; each run is there once and ends well, and no step ran twice."""
    world.start()
    for run in asked:
        world.submit(run)
    world.await_over(len(asked))
    runs = world.check_succeeded(len(asked))
    world.check_each_once(steps)
    world.check_calm()
    return [outputs(run) for run in runs]


def count(world: WorkflowWorld, table: str, where: str = "1 = 1") -> int:
    return world.platform.rows(f"SELECT count(*) FROM {table} WHERE {where}")[0][0]


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", ["runner.before_save", "runner.after_save"])
def test_what_was_decided_is_saved_before_it_is_done(make: Make, point: str, nth: int) -> None:
    """The first save is of the begin, the next of what the first step said, and so on."""
    world = make(CHAIN)

    die_at(world, f"{point}:{nth}", "a")

    assert len(world.lines()) <= nth
    assert go_on(world, 2, "a") == [{"said": 12}]


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize(
    "point", ["runner.before_keepers", "runner.after_keepers", "keepers.after_acquire", "keepers.after_release"]
)
def test_a_lock_is_neither_lost_nor_given_twice(make: Make, point: str, nth: int) -> None:
    world = make(LOCKED)

    die_at(world, f"{point}:{nth}", "a", "b")

    assert count(world, "locks", "granted IS NOT NULL") <= 1
    go_on(world, 6, "a", "b")
    assert count(world, "locks") == 0


def test_what_is_remembered_is_there_after_a_crash(make: Make) -> None:
    world = make(MEMO)

    die_at(world, "keepers.after_remember", "a")

    assert count(world, "memos") == 1
    assert go_on(world, 1, "a") == [{"first": 7, "second": 7}]


def test_what_was_to_be_remembered_is_remembered_after_a_crash(make: Make) -> None:
    """It dies when the first step's end is saved: what it gave is remembered by the next life."""
    world = make(MEMO)

    die_at(world, "runner.after_save:2", "a")

    assert go_on(world, 1, "a") == [{"first": 7, "second": 7}]


@pytest.mark.parametrize(("point", "there"), [("binding.before_commit", 0), ("binding.after_commit", 1)])
def test_an_event_makes_its_run_once(make: Make, point: str, there: int) -> None:
    world = make(CHAIN)

    die_at(world, point, "a")

    assert count(world, "runs") == there
    assert go_on(world, 2, "a") == [{"said": 12}]


@pytest.mark.parametrize(("point", "there"), [("cron.before_commit", 0), ("cron.after_commit", 1)])
def test_a_tick_makes_its_run_once(make: Make, point: str, there: int) -> None:
    """The tick of this hour was missed: to the next start it looks as if the platform had been down for two hours."""
    world = make(CHAIN)
    world.platform.write("cron.yaml", CRON)
    world.start()
    world.platform.wait(lambda: count(world, "crons") == 1, "the cron is known")
    world.platform.kill()
    with closing(sqlite3.connect(world.platform.data / "store.db")) as store:
        store.execute("UPDATE crons SET looked = looked - ?1, since = since - ?1", (2 * 3600 * 1_000_000,))
        store.commit()

    # It may die before it is ready to say so.
    world.platform.launch(fault=point, port=world.port)
    assert world.platform.await_death() == -9

    assert count(world, "runs") == there
    world.start()
    world.await_over(1)
    (run,) = world.check_succeeded(1)
    assert outputs(run) == {"said": 12}
    told = world.platform.items("events", subject="cron.fired")
    assert [event["data"]["run"]["name"] for event in told] == [run["metadata"]["name"]]
    assert world.lines() == {"cron-first": ONCE, "cron-second": ONCE}
    world.check_calm()
