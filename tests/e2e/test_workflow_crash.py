"""`kill -9` of the platform at random moments while workflows run: they end well, and no step runs twice.

RETRAIN_TEST_SEED repeats an order of kills, RETRAIN_TEST_KILLS changes how many the long one has, and
RETRAIN_TEST_FAULTS=all gives it 200 steps and 40 kills.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.workflow_world import SEED, WorkflowWorld, outputs
from tests.support.size import size

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("RETRAIN_TEST_KILLS") or size(12, 40))

# list -> SQUARES squares and CHAINS chains of three -> last. All of them say what they gave, in the order of the items.
FAN = """\
  templates:
    - name: all
      dag:
        tasks:
          - {name: list, template: list}
          - name: square
            template: square
            depends: list
            withParam: "{{tasks.list.outputs.result}}"
            arguments: {parameters: [{name: number, value: "{{item}}"}]}
          - name: chain
            template: chain
            depends: list
            withSequence: {count: "CHAINS"}
            arguments: {parameters: [{name: number, value: "{{item}}"}]}
          - name: last
            template: last
            depends: square && chain
            arguments:
              parameters:
                - {name: squares, value: "{{tasks.square.outputs.result}}"}
                - {name: chains, value: "{{tasks.chain.outputs.parameters.sum}}"}
      outputs:
        parameters:
          - {name: squares, valueFrom: {parameter: "{{tasks.square.outputs.result}}"}}
          - {name: chains, valueFrom: {parameter: "{{tasks.chain.outputs.parameters.sum}}"}}
          - {name: total, valueFrom: {parameter: "{{tasks.last.outputs.result}}"}}
    - name: list
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/list"
          seq -s, 1 SQUARES | sed 's/^/[/; s/,*$/]/'
          echo end >> "$RETRAIN_PROJECT/marks/list"
    - name: square
      inputs: {parameters: [{name: number}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/square-{{inputs.parameters.number}}"
          sleep 0.$(( {{inputs.parameters.number}} * 7 % LONGEST ))
          echo $(( {{inputs.parameters.number}} * {{inputs.parameters.number}} ))
          echo end >> "$RETRAIN_PROJECT/marks/square-{{inputs.parameters.number}}"
    - name: chain
      inputs: {parameters: [{name: number}]}
      steps:
        - [{name: a, template: add, arguments: {parameters: [{name: mark, value: "{{inputs.parameters.number}}-a"},
            {name: to, value: "{{inputs.parameters.number}}"}]}}]
        - [{name: b, template: add, arguments: {parameters: [{name: mark, value: "{{inputs.parameters.number}}-b"},
            {name: to, value: "{{steps.a.outputs.parameters.sum}}"}]}}]
        - [{name: c, template: add, arguments: {parameters: [{name: mark, value: "{{inputs.parameters.number}}-c"},
            {name: to, value: "{{steps.b.outputs.parameters.sum}}"}]}}]
      outputs: {parameters: [{name: sum, valueFrom: {parameter: "{{steps.c.outputs.parameters.sum}}"}}]}
    - name: add
      inputs: {parameters: [{name: mark}, {name: to}]}
      outputs: {parameters: [{name: sum, valueFrom: {path: sum}}]}
      script:
        image: alpine:3
        command: [sh]
        source: |
          echo begin >> "$RETRAIN_PROJECT/marks/chain-{{inputs.parameters.mark}}"
          echo $(( {{inputs.parameters.to}} + 10 )) > "$RETRAIN_OUTPUTS/sum"
          sleep 0.1
          echo end >> "$RETRAIN_PROJECT/marks/chain-{{inputs.parameters.mark}}"
    - name: last
      inputs: {parameters: [{name: squares}, {name: chains}]}
      script:
        image: python:3
        command: [python]
        source: |
          import os
          mark = open(os.environ["RETRAIN_PROJECT"] + "/marks/last", "a")
          print("begin", file=mark, flush=True)
          print(sum(map(int, {{inputs.parameters.squares}} + {{inputs.parameters.chains}})))
          print("end", file=mark, flush=True)
"""


def crash(tmp_path: Path, squares: int, chains: int, kills: int, longest: int) -> None:
    chance = random.Random(SEED)
    text = FAN.replace("SQUARES", str(squares)).replace("CHAINS", str(chains)).replace("LONGEST", str(longest))
    world = WorkflowWorld(tmp_path, text)
    world.start()
    with world.platform:
        began = time.monotonic()
        world.submit("fan")
        world.kill_at_random(kills, chance, 0.8)
        done = len(world.lines())
        world.await_over(1)
        print(f"RETRAIN_TEST_SEED={SEED}: {kills} kills, {done} steps begun by then, "  # noqa: T201 - beside a failure
              f"{time.monotonic() - began:.0f} s")  # fmt: skip

        (run,) = world.check_succeeded(1)
        world.check_each_once(2 + squares + 3 * chains)
        check_values(run, squares, chains)
        world.check_calm()


def check_values(run: dict[str, Any], squares: int, chains: int) -> None:
    given = outputs(run)
    wanted = {
        "squares": [n * n for n in range(1, squares + 1)],
        "chains": [n + 30 for n in range(chains)],
    }
    assert {name: [int(value) for value in given[name]] for name in wanted} == wanted
    assert given["total"] == sum(wanted["squares"]) + sum(wanted["chains"])
    pods = [node for node in run["status"]["nodes"].values() if node["type"] == "Pod"]
    assert len(pods) == 2 + squares + 3 * chains


def test_a_fan_out_survives_kills_of_the_platform(tmp_path: Path) -> None:
    crash(tmp_path, squares=6, chains=2, kills=2, longest=60)


@pytest.mark.timeout(600)
def test_many_steps_survive_many_kills_of_the_platform(tmp_path: Path) -> None:
    crash(tmp_path, squares=size(30, 96), chains=size(10, 34), kills=KILLS, longest=100)
