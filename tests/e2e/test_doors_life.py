"""How a platform ends, who else may start on its state, and what it says while a part of it is away."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.e2e.crash_world import Receiver, World
from tests.e2e.platform_driver import PATIENCE_S, RETRAIN, Answer, Platform, Unreachable

pytestmark = pytest.mark.integration

# Tells that it runs, then works until it may end; a SIGTERM it hears and stays.
STEP = "trap 'echo heard' TERM; mkdir -p $0; touch $0/began-$$; while [ ! -e $0/go ]; do sleep 0.05; done; echo done"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def working(
    place: Path, receiver: Receiver, environment: dict[str, str] | None = None, step: str = STEP
) -> tuple[World, Path]:
    """A world whose first step works until `go` is in the folder."""
    folder = place / "step"
    world = World.make(place, receiver, learn=("/bin/sh", "-c", step, str(folder)), sensors=("train",))
    world.platform.environment.update(environment or {})
    return world, folder


def begun(world: World, folder: Path) -> None:
    world.send_until_taken(0)
    world.platform.wait(lambda: list(folder.glob("began-*")), "the step works")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_it_with_0_and_leaves_nothing_running(
    tmp_path: Path, receiver: Receiver, number: signal.Signals
) -> None:
    world = World.make(tmp_path, receiver)
    with world.platform as platform:
        world.send_until_taken(0)
        os.kill(platform.pid, number)
        assert platform.await_death() == 0
        assert platform.processes() == []
        assert not (platform.data / "up.json").exists()
        platform.start()
        world.await_settled(1)


def test_a_step_that_ends_soon_after_the_signal_is_not_cut_off_and_not_run_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    # It counts its beginnings, and still takes a moment when everything else has stopped.
    step = "mkdir -p $0; echo + >> $0/began-once; while [ ! -e $0/go ]; do sleep 0.05; done; sleep 1"
    world, folder = working(tmp_path, receiver, {"RETRAIN_PIPELINES_FINISH_S": "30"}, step)
    with world.platform as platform:
        begun(world, folder)
        os.kill(platform.pid, signal.SIGTERM)
        platform.wait(lambda: "platform.stopping" in platform.last_lines(50), "it has heard the signal")
        (folder / "go").touch()
        assert platform.await_death() == 0
        platform.start()
        world.await_settled(1)
    assert (folder / "began-once").read_text() == "+\n"


def test_after_the_first_signal_nothing_is_taken_in_while_the_work_in_hand_is_bounded(
    tmp_path: Path, receiver: Receiver
) -> None:
    world, folder = working(tmp_path, receiver, {"RETRAIN_SHUTDOWN_S": "3", "RETRAIN_PIPELINES_GRACE_S": "1"})
    with world.platform as platform:
        begun(world, folder)
        os.kill(platform.pid, signal.SIGTERM)

        def refused() -> bool:
            try:
                return not world.send(1).taken
            except Unreachable:
                return True

        platform.wait(refused, "intake has stopped")
        assert platform.await_death() == 0
        assert platform.bus_processes() == []
        (folder / "go").touch()
        taken = sorted(world.acknowledged)
        platform.start()
        world.await_settled(len(taken))
        assert [run["status"]["phase"] for run in platform.items("runs")] == ["Succeeded"] * len(taken)


def test_a_second_signal_ends_it_at_once_and_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    world, folder = working(tmp_path, receiver, {"RETRAIN_SHUTDOWN_S": "600", "RETRAIN_PIPELINES_GRACE_S": "600"})
    with world.platform as platform:
        begun(world, folder)
        os.kill(platform.pid, signal.SIGTERM)
        platform.wait(lambda: "platform.stopping" in platform.last_lines(50), "it has heard the first")
        if platform.running:
            os.kill(platform.pid, signal.SIGTERM)
        assert platform.await_death() in {0, 128 + signal.SIGTERM}
        platform.wait(lambda: not platform.bus_processes(), "its bus notices and ends too")
        (folder / "go").touch()
        platform.wait(lambda: not platform.step_processes(), "its steps end by themselves")
        platform.start()
        world.await_settled(1)
        (run,) = platform.items("runs")
        assert run["status"]["phase"] == "Succeeded"


def test_whoever_only_listens_does_not_hold_a_shutdown_up(tmp_path: Path, receiver: Receiver) -> None:
    world = World.make(tmp_path, receiver, sensors=("tell",))
    with world.platform as platform:
        heard: queue.Queue[str] = queue.Queue()
        words = [RETRAIN, "events", "tail", "--after", "0", "-o", "json", "--server", platform.url]
        listener = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stream: HTTPResponse = urllib.request.urlopen(f"{platform.url}/api/v1/events/tail", timeout=PATIENCE_S)
        assert stream.headers["content-type"] == "text/event-stream"
        assert [stream.readline() for _ in range(3)] == [b"retry: 2000\n", b": listening\n", b"\n"]
        thread = threading.Thread(target=_pour, args=(stream, heard.put))
        thread.start()
        world.send_until_taken(0)
        first = heard.get(timeout=PATIENCE_S)
        assert json.loads(first.removeprefix("data: "))["source"] == "shop"
        assert listener.stdout is not None
        assert json.loads(listener.stdout.readline())["source"] == "shop"

        assert platform.stop() == 0

        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the stream has ended"
        _, said = listener.communicate(timeout=PATIENCE_S)
        assert listener.returncode == 0, said
        assert "part.slow_to_stop" not in platform.last_lines(100)
        assert "Cancel" not in platform.last_lines(100), "the server had to cut nobody off"


def _pour(stream: HTTPResponse, put: Callable[[str], object]) -> None:
    for line in stream:
        if line.startswith(b"data: "):
            put(line.decode())


def test_a_second_up_on_the_same_state_says_who_holds_it_and_exits_2(tmp_path: Path, receiver: Receiver) -> None:
    world = World.make(tmp_path, receiver, sensors=("tell",))
    with world.platform as platform:
        words = [RETRAIN, "up", str(platform.project), "--data", str(platform.data), "--port", "0"]
        second = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
        assert (second.returncode, second.stdout) == (2, "")
        assert f"{platform.data}: is held by another `retrain up` (pid {platform.pid}, {platform.url})" in second.stderr
        assert "Traceback" not in second.stderr
        assert platform.get("/readyz")["status"] == "ready", "the first one goes on"
        platform.kill()
        platform.start()


def test_readiness_is_lost_with_the_bus_and_comes_back_with_it(tmp_path: Path, receiver: Receiver) -> None:
    world = World.make(tmp_path, receiver, sensors=("tell",))
    with world.platform as platform:
        (bus,) = platform.bus_processes()
        os.kill(bus.pid, signal.SIGSTOP)
        try:
            away = platform.wait(lambda: _not_ready(platform), "it says that the bus is away")
            parts = {part["name"]: part for part in away.body["parts"]}
            assert not parts["bus"]["ready"]
            assert parts["bus"]["waitingFor"]
            assert platform.get("/healthz") == {"status": "alive"}, "away is not dead: it must not be restarted"
            page = platform.get("/metrics")
            assert 'retrain_part_ready{part="bus"} 0.0' in page
            assert "retrain_bus_lag_events" not in page, "what is not known is not told"
        finally:
            os.kill(bus.pid, signal.SIGCONT)
        platform.wait(lambda: platform.send("GET", "/readyz").status == 200, "the bus is back")
        world.send_until_taken(0)

        platform.kill_process(platform.bus_processes()[0].pid)
        platform.wait(lambda: _bus_of(platform) not in {None, bus.pid}, "the bus is started again")
        platform.wait(lambda: platform.send("GET", "/readyz").status == 200, "it is ready again")
        world.send_until_taken(1)
        world.await_settled(2)


def _not_ready(platform: Platform) -> Answer | None:
    answer = platform.send("GET", "/readyz")
    return answer if answer.status == 503 else None


def _bus_of(platform: Platform) -> int | None:
    return next((one.pid for one in platform.bus_processes()), None)
