"""A step that prints 1 GB: the platform's memory does not grow with what its steps say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.workflow_world import WorkflowWorld

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PRINTED = 1_000_000_000
ROOM = 16 * 1024 * 1024
"""Bytes that the platform may grow by meanwhile: its own work, and a look at the log's end."""
FLOOD = f"""\
  templates:
    - name: all
      steps: [[{{name: quiet, template: quiet}}], [{{name: flood, template: flood}}]]
    - name: quiet
      script: {{image: alpine:3, command: [sh], source: "echo hello"}}
    - name: flood
      script:
        image: alpine:3
        command: [sh]
        source: |
          until [ -e "$RETRAIN_PROJECT/marks/go" ]; do sleep 0.05; done
          yes 'one hundred characters or so are in each of the lines, of which there are ten millions in the whole' |
            head -c {PRINTED}
"""


def peak_of(pid: int) -> int:
    """The most memory that a process has had since the last `forget_peak`, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def test_the_platforms_memory_does_not_grow_with_what_steps_print(tmp_path: Path) -> None:
    world = WorkflowWorld(tmp_path, FLOOD)
    world.start()
    platform = world.platform
    with platform:
        world.submit("a")
        platform.wait(lambda: list(platform.data.glob("runs/*/*/pid")), "a step has begun")
        platform.wait(lambda: "flood" in str(platform.get(run_path(world))), "the flood is there")
        forget_peak(platform.pid)
        before = peak_of(platform.pid)

        (world.marks / "go").touch()
        world.await_over(1, timeout_s=300)
        (run,) = world.check_succeeded(1)
        name = run["metadata"]["name"]
        said = platform.command("runs", "logs", name, "--tail", "3")
        grown = peak_of(platform.pid) - before

        print(f"grown by {grown / 1e6:.0f} MB from {before / 1e6:.0f} MB")  # noqa: T201 - beside a failure
        assert "one hundred characters" in said
        assert sum(log.stat().st_size for log in platform.data.glob("runs/*/*/main.log")) >= PRINTED
        assert grown < ROOM
        (world.marks / "go").unlink()
        world.check_calm()


def run_path(world: WorkflowWorld) -> str:
    (run,) = world.platform.items("runs")
    return f"/api/v1/runs/{run['metadata']['name']}"
