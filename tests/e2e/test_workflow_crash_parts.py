"""`kill -9` of the platform at a few random moments while locks, memos, artifacts, sets of containers and crons work.

RETRAIN_TEST_SEED repeats the moments.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.workflow_world import ONCE, SEED, WorkflowWorld, outputs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BETWEEN_S = 0.7
"""The longest time from ready to killed."""
LOCKED = """\
  templates:
    - name: all
      steps:
        - - name: one
            template: one
            withSequence: {count: "4"}
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
          sleep 0.15
          rmdir "$RETRAIN_PROJECT/inside" || exit 1
          echo end >> "$mark"
"""
# One makes it; the others take what it gave, one after the other.
MEMO = """\
  templates:
    - name: all
      steps: [[{name: first, template: make}], [{name: second, template: make}], [{name: third, template: make}]]
      outputs:
        parameters:
          - {name: first, valueFrom: {parameter: "{{steps.first.outputs.parameters.made}}"}}
          - {name: third, valueFrom: {parameter: "{{steps.third.outputs.parameters.made}}"}}
    - name: make
      memoize: {key: "{{workflow.parameters.run}}", cache: {configMap: {name: cache}}}
      outputs: {parameters: [{name: made, valueFrom: {path: made}}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}"
          sleep 0.4
          echo 7 > "$RETRAIN_OUTPUTS/made"
          echo end >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}"
"""
# Three parts of a file and of a directory, and what counts them.
ARTIFACTS = """\
  templates:
    - name: all
      dag:
        tasks:
          - {name: a, template: make, arguments: {parameters: [{name: who, value: a}, {name: count, value: "5"}]}}
          - {name: b, template: make, arguments: {parameters: [{name: who, value: b}, {name: count, value: "7"}]}}
          - name: sum
            template: sum
            depends: a && b
            arguments:
              artifacts:
                - {name: left, from: "{{tasks.a.outputs.artifacts.lines}}"}
                - {name: right, from: "{{tasks.b.outputs.artifacts.lines}}"}
      outputs: {parameters: [{name: sum, valueFrom: {parameter: "{{tasks.sum.outputs.result}}"}}]}
    - name: make
      inputs: {parameters: [{name: who}, {name: count}]}
      outputs: {artifacts: [{name: lines, path: /tmp/lines}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          mark="$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-{{inputs.parameters.who}}"
          echo begin >> "$mark"
          mkdir -p /tmp/lines/deep
          seq {{inputs.parameters.count}} > /tmp/lines/deep/numbers
          sleep 0.3
          echo end >> "$mark"
    - name: sum
      inputs: {artifacts: [{name: left, path: /tmp/left}, {name: right, path: /tmp/right}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-sum"
          sleep 0.2
          cat /tmp/left/deep/numbers /tmp/right/deep/numbers | wc -l
          echo end >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-sum"
"""
SET = """\
  templates:
    - name: all
      steps: [[{name: set, template: set}]]
      outputs: {parameters: [{name: said, valueFrom: {parameter: "{{steps.set.outputs.result}}"}}]}
    - name: set
      containerSet:
        volumeMounts: [{name: shared, mountPath: /shared}]
        containers:
          - name: a
            image: alpine:3
            command: [sh, -c]
            args: ['M="$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-a"; echo begin >> "$M"; sleep 0.3; echo 1 > /shared/a; echo end >> "$M"']
          - name: b
            image: alpine:3
            command: [sh, -c]
            args: ['M="$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-b"; echo begin >> "$M"; sleep 0.5; echo 2 > /shared/b; echo end >> "$M"']
          - name: main
            image: alpine:3
            dependencies: [a, b]
            command: [sh, -c]
            args: ['M="$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}-main"; echo begin >> "$M"; sleep 0.2; cat /shared/a /shared/b | tr -d "\\n"; echo end >> "$M"']
      volumes: [{name: shared, emptyDir: {}}]
"""  # noqa: E501 - a command is one line
STEP = """\
  templates:
    - name: all
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}"
          sleep 0.3
          echo end >> "$RETRAIN_PROJECT/marks/{{workflow.parameters.run}}"
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
def place(tmp_path: Path) -> Path:
    print(f"RETRAIN_TEST_SEED={SEED}")  # noqa: T201 - beside a failure
    return tmp_path


def survive(world: WorkflowWorld, kills: int, steps: int, *asked: str) -> list[dict[str, object]]:
    """What the runs gave, all of which went on while the platform was killed so often."""
    world.start()
    with world.platform:
        for run in asked:
            world.submit(run)
        world.kill_at_random(kills, random.Random(SEED), BETWEEN_S)
        world.await_over(len(asked))
        runs = world.check_succeeded(len(asked))
        world.check_each_once(steps)
        locks = world.platform.rows("SELECT count(*) FROM locks")[0][0]
        world.check_calm()
    assert locks == 0
    return [outputs(run) for run in runs]


def test_a_mutex_holds_one_at_a_time_through_kills(place: Path) -> None:
    survive(WorkflowWorld(place, LOCKED), 4, 8, "a", "b")


def test_what_is_remembered_is_made_once_through_kills(place: Path) -> None:
    assert survive(WorkflowWorld(place, MEMO), 3, 2, "a", "b") == [{"first": 7, "third": 7}] * 2


def test_artifacts_reach_the_next_step_through_kills(place: Path) -> None:
    assert survive(WorkflowWorld(place, ARTIFACTS), 3, 6, "a", "b") == [{"sum": 12}] * 2


def test_containers_of_a_set_run_once_through_kills(place: Path) -> None:
    assert survive(WorkflowWorld(place, SET), 3, 6, "a", "b") == [{"said": 12}] * 2


def test_a_cron_ticks_once_through_kills(place: Path) -> None:
    """The hour's tick was missed; the platform is killed a few times while it makes up for it."""
    world = WorkflowWorld(place, STEP)
    world.platform.write("cron.yaml", CRON)
    world.start()
    with world.platform:
        if datetime.now(UTC).minute == 59:
            pytest.skip("the next tick is near")
        world.platform.wait(lambda: world.platform.rows("SELECT count(*) FROM crons")[0][0] == 1, "the cron is known")
        world.platform.kill()
        with closing(sqlite3.connect(world.platform.data / "store.db")) as store:
            store.execute("UPDATE crons SET looked = looked - ?1, since = since - ?1", (2 * 3600 * 1_000_000,))
            store.commit()

        world.kill_at_random(4, random.Random(SEED), BETWEEN_S)
        world.await_over(1)
        world.check_succeeded(1)
        assert world.lines() == {"cron": ONCE}
        told = world.platform.items("events", subject="cron.fired")
        assert len({event["id"] for event in told}) == len(told) == 1
        world.check_calm()
