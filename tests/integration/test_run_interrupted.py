"""`retrain run` that is interrupted, or killed, at any moment: no process and no directory of it stays.

RETRAIN_TEST_SEED repeats the moments.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
import pytest

from retrain.cli.run_interrupts import Interrupts, open_interrupts
from retrain.store import open_store, runs
from tests.support.size import size

pytestmark = pytest.mark.slow  # each is a command of its own, or many

RETRAIN = str(Path(sys.executable).with_name("retrain"))
SEED = int(os.environ.get("RETRAIN_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
PATIENCE_S = 60.0
LAST_LINE = re.compile(
    r"^interrupted: (nothing had begun|\d+ of \d+ steps had ended(, \d+ cut off)?(, \d+ workflows? not begun)?)$"
)
FAR = re.compile(r"^interrupted: 2 of 5 steps had ended")
# Short steps one after the other, then three that ignore SIGTERM, and leave something in a session of its own.
LONG = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: long}
spec:
  entrypoint: all
  templates:
    - name: all
      steps:
        - [{name: a, template: say}]
        - [{name: b, template: say}]
        - - {name: c, template: hang, withItems: [1, 2, 3]}
        - [{name: d, template: say}]
    - name: say
      script: {image: alpine:3, command: [sh], source: "sleep 0.1; echo hi"}
    - name: hang
      script:
        image: alpine:3
        command: [sh]
        source: |
          setsid sleep 4321 & trap '' TERM
          echo on >> "$RETRAIN_PROJECT/on"
          while :; do sleep 0.1; done
"""


class Place:
    """A project whose runs have a directory for temporary files of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root / "tmp"
        self.tmp.mkdir()
        (root / "long.yaml").write_text(LONG)

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "TMPDIR": str(self.tmp)}
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [RETRAIN, "run", "long.yaml", *words], cwd=self.root, env=environment, stdout=pipe, stderr=pipe, text=True
        )

    def await_hanging(self) -> None:
        """Wait until the three steps hang."""
        wait(lambda: (self.root / "on").exists() and (self.root / "on").read_text().count("on") == 3)

    def processes(self) -> list[str]:
        """The command lines of steps, leaders and whatever else works here or for here."""
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and int(entry.name) != os.getpid():
                    said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    if str(self.root).encode() in said or str((entry / "cwd").readlink()).startswith(str(self.root)):
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


def wait(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_interrupted_shows_how_far_it_came(place: Place, number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here: the tests run under nohup, which has its way")
    process = place.start("--grace", "0.2")
    place.await_hanging()

    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert re.search(r"^Status: +Failed\nMessage: +interrupted$", out, re.MULTILINE)
    assert re.search(r"✔ b +say", out)
    assert re.search(r"[●◷] c\(1:2\) +hang", out)
    assert FAR.match(err.splitlines()[-1]), err
    assert place.processes() == []
    assert list(place.tmp.iterdir()) == []


def test_a_second_interrupt_does_not_wait_for_the_steps(place: Place) -> None:
    """The grace is longer than the test may take."""
    process = place.start("--grace", "3600", "-o", "json")
    place.await_hanging()

    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "once more kills them" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    status = json.loads(out)["status"]
    assert (status["phase"], status["message"]) == ("Failed", "interrupted")
    assert FAR.match(err.splitlines()[-1]), err
    assert place.processes() == []
    assert list(place.tmp.iterdir()) == []


def test_a_killed_run_takes_its_steps_and_its_directory_with_it(place: Place) -> None:
    process = place.start()
    place.await_hanging()

    process.kill()
    process.communicate()

    wait(lambda: not place.processes())
    wait(lambda: not list(place.tmp.iterdir()))


def test_what_nobody_could_take_away_goes_with_the_next_command(place: Place) -> None:
    """All is killed at once but the steps, so that there is nobody left who could end them."""
    process = place.start()
    place.await_hanging()
    process.send_signal(signal.SIGSTOP)
    wait(lambda: ") T " in Path(f"/proc/{process.pid}/stat").read_text())  # else it starts another one in time
    spawners = psutil.Process(process.pid).children()
    for pid in (*(one.pid for one in spawners), process.pid):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert any("sleep" in one for one in place.processes())

    place.start("--dry-run").communicate(timeout=PATIENCE_S)
    assert list(place.tmp.iterdir()), "what runs nothing takes nothing away"
    (place.root / "on").unlink()
    after = place.start("--grace", "0")
    place.await_hanging()

    assert len(list(place.tmp.iterdir())) == 1, "its own"
    after.send_signal(signal.SIGINT)
    after.communicate(timeout=PATIENCE_S)
    assert place.processes() == []
    assert list(place.tmp.iterdir()) == []


async def test_a_killed_run_in_a_data_directory_is_over_there(place: Place) -> None:
    process = place.start("--data", "data")
    place.await_hanging()

    process.kill()
    process.communicate()

    wait(lambda: not place.processes())
    assert list((place.root / "data/foreground").iterdir()) == []
    async with open_store(place.root / "data/store.db") as store:
        row = await store.read(lambda c: runs.named(c, "long"))
    assert row is not None
    assert (row.phase, row.message) == ("Failed", "interrupted")


def test_two_runs_at_once_leave_each_other_alone(place: Place) -> None:
    first = place.start("--data", "data", "--grace", "0")
    place.await_hanging()
    second = place.start("--data", "data", "--grace", "0")
    wait(lambda: (place.root / "on").read_text().count("on") == 6)

    second.kill()
    second.communicate()
    wait(lambda: sum("trap" in one or "sleep 0.1" in one for one in place.processes()) <= 3)
    assert first.poll() is None

    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=PATIENCE_S)
    assert FAR.match(err.splitlines()[-1]), err
    wait(lambda: not place.processes())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_was_swallowed_is_heard_by_whoever_attends(number: signal.Signals) -> None:
    async def heard(interrupts: Interrupts) -> None:
        with anyio.fail_after(PATIENCE_S):
            await interrupts.next()

    with open_interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):  # what Python does with it in a finalizer
            signal.raise_signal(number)
        anyio.run(heard, interrupts)


@pytest.mark.parametrize(
    "times",
    [pytest.param(3, id="few"), pytest.param(size(12, 25), id="many", marks=pytest.mark.timeout(400))],
)
def test_at_any_moment_nothing_stays(place: Place, times: int) -> None:
    chance = random.Random(SEED)
    for _ in range(times):
        number = chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
        process = place.start("--grace", "0.1", *chance.choice([(), ("--data", "data")]))
        began = time.monotonic()
        time.sleep(chance.uniform(0.3, 1.6))
        for _ in range(chance.choice([1, 2])):
            process.send_signal(number)
            time.sleep(chance.uniform(0.0, 0.2))
        out, err = process.communicate(timeout=PATIENCE_S)
        seen = f"seed {SEED}: {number.name} after {time.monotonic() - began:.2f} s:\n{out}\n{err}"
        if number is signal.SIGKILL:
            assert process.returncode == -9, seen
        else:
            assert process.returncode in {130, -number}, seen
            assert process.returncode != 130 or not err or any(map(LAST_LINE.match, err.splitlines())), seen
            # An event loop that is cut off while it is made complains of itself; that is asyncio's, and harmless.
            # So does Python where it has not yet come to a line of ours.
            early = process.returncode == -signal.SIGINT and "in <module>\n    from retrain.cli import main" in err
            assert (
                early or "Traceback" not in err.partition("Exception ignored in: <function BaseEventLoop.__del__")[0]
            ), seen
    for words in ((), ("--data", "data")):
        (place.root / "on").unlink(missing_ok=True)
        last = place.start("--grace", "0", *words)
        place.await_hanging()
        last.send_signal(signal.SIGINT)
        last.communicate(timeout=PATIENCE_S)
    wait(lambda: not place.processes())
    assert list(place.tmp.iterdir()) == []
