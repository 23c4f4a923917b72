"""The rung `container`, with a real engine: the image's own files and entrypoint, mounts, outputs, and an end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import engine_rung, isolation
from pipelines.local.engine_rung import image_command, sweep_containers
from pipelines.local.isolation import Rung
from pipelines.local.logs import read_all
from pipelines.local.mounts import Mount
from pipelines.local.process import RUN_MARKER, Ending, Leader
from pipelines.local.view import View, Wants, open_view
from retrain.errors import ConfigError
from tests.servers.docker_engine import IMAGE, docker_engine
from tests.unit.leaders import PATIENCE_S, Bench, open_bench

pytestmark = pytest.mark.integration


def forget() -> None:
    """The engine is looked for once a process; here another one answers."""
    for cached in (isolation.engine, isolation._silent, isolation.available_rungs, engine_rung._image):
        cached.cache_clear()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_engine(tmp_path_factory.mktemp("docker")) as host, pytest.MonkeyPatch.context() as patch:
        if host:
            patch.setenv("DOCKER_HOST", host)
        forget()
        yield host
    forget()


class Machine:
    def __init__(self, place: Path, bench: Bench) -> None:
        self.place, self.bench = place, bench
        (place / "project").mkdir()

    def start(self, *argv: str, env: dict[str, str] | None = None, **wants: Any) -> tuple[Path, View, Leader]:
        home = self.bench.home()
        view = open_view(Rung.container, home, Wants(image=IMAGE, **wants), self.place / "project")
        view.prepare()
        leader = self.bench.spawner.launch(
            home, view.command(argv, {RUN_MARKER: "test-run", **(env or {})}, capture=True)
        )
        return home, view, leader

    def run(self, *argv: str, env: dict[str, str] | None = None, **wants: Any) -> tuple[Ending, str, View]:
        home, view, leader = self.start(*argv, env=env, **wants)
        ending = self.bench.finish(home, leader)
        assert ending is not None
        return ending, "".join(read_all(home / "main.log")), view


@pytest.fixture
def machine(engine: str, tmp_path: Path) -> Iterator[Machine]:
    with open_bench(tmp_path) as bench:
        yield Machine(tmp_path, bench)
    sweep_containers("test-run")


def test_the_rung_is_there_when_an_engine_answers(engine: str) -> None:
    assert isolation.available_rungs()[Rung.container] == ""
    assert image_command(IMAGE) == (("/bin/sh", "-c"), ())


def test_a_command_runs_in_the_image_and_its_output_and_exit_code_come_back(machine: Machine) -> None:
    ending, said, view = machine.run("/bin/sh", "-c", "ls /; pwd; echo $WORD; exit 7", env={"WORD": "a b"})
    assert ending.code == 7
    assert "usr" not in said.split()
    assert said.endswith("/srv\na b\n")
    view.close()


def test_without_a_command_the_images_entrypoint_runs(machine: Machine) -> None:
    ending, said, view = machine.run("echo from the entrypoint", own_command=False)
    assert (ending.code, said) == (0, "from the entrypoint\n")
    view.close()


def test_declared_outputs_are_copied_out(machine: Machine) -> None:
    source = "echo 0.9 > /tmp/accuracy; mkdir /model; echo w > /model/weights; echo r > rel"
    _, _, view = machine.run("/bin/sh", "-c", source, paths=("/tmp/accuracy", "/model", "rel"))
    assert view.found("/tmp/accuracy").read_text() == "0.9\n"
    assert (view.found("/model") / "weights").read_text() == "w\n"
    assert view.found("rel").read_text() == "r\n"
    view.close()


def test_a_link_in_what_was_copied_out_leads_nowhere(machine: Machine) -> None:
    _, _, view = machine.run("/bin/sh", "-c", "busybox ln -s /etc/hostname /tmp/out", paths=("/tmp/out",))
    with pytest.raises(ConfigError, match="leads out"):
        view.found("/tmp/out")
    view.close()


def test_inputs_and_volumes_are_mounted(machine: Machine) -> None:
    volume = machine.place / "volume"
    volume.mkdir()
    home = machine.bench.home()
    wants = Wants(paths=("/in/data",), mounts=(Mount(volume, "/mnt/vol"),), image=IMAGE)
    view = open_view(Rung.container, home, wants, machine.place / "project")
    view.prepare()
    view.locate("/in/data").write_text("data\n")

    command = view.command(["/bin/sh", "-c", "cat /in/data > /mnt/vol/copy"], {})
    ending = machine.bench.finish(home, machine.bench.spawner.launch(home, command))

    assert ending is not None
    assert ending.code == 0
    assert (volume / "copy").read_text() == "data\n"
    view.close()


def test_values_of_variables_stand_in_no_process_list(machine: Machine) -> None:
    home = machine.bench.home()
    view = open_view(Rung.container, home, Wants(image=IMAGE), machine.place / "project")
    command = view.command(["/bin/true"], {"TOKEN": "s3cr3t"})
    assert not any("s3cr3t" in word for word in command.argv)


def test_sigterm_reaches_the_step_and_what_was_killed_is_removed(machine: Machine) -> None:
    source = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    home, view, leader = machine.start("/bin/sh", "-c", source)
    deadline = time.monotonic() + PATIENCE_S
    while "ready" not in "".join(read_all(home / "main.log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    leader.signal_group(signal.SIGTERM)
    ending = machine.bench.finish(home, leader)
    view.close()

    assert ending is not None
    assert ending.code == 9
    assert sweep_containers("test-run") == 0


def test_a_container_whose_client_was_killed_is_found_by_its_run(machine: Machine) -> None:
    home, _, leader = machine.start("/bin/sh", "-c", "echo ready; sleep 1000")
    deadline = time.monotonic() + PATIENCE_S
    while "ready" not in "".join(read_all(home / "main.log")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    leader.signal_group(signal.SIGKILL)
    ending = machine.bench.finish(home, leader)

    assert ending is not None
    assert ending.code == 137
    assert sweep_containers("test-run") == 1


def test_an_image_that_is_nowhere_is_named(machine: Machine) -> None:
    with pytest.raises(ConfigError, match="cannot be had"):
        image_command("retrain-test/none:1")


@pytest.mark.parametrize("image", ["", "--privileged", None])
def test_an_image_is_never_an_option(machine: Machine, image: str | None) -> None:
    with pytest.raises(ConfigError, match="no image"):
        open_view(Rung.container, machine.bench.home(), Wants(image=image), machine.place)
