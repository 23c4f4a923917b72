"""How a step sees the disk, on every rung of this machine: exact paths, a host that stays as it is, no way out."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.local.isolation import Rung, available_rungs, no_namespace
from pipelines.local.logs import read_all
from pipelines.local.mounts import Mount
from pipelines.local.process import Ending
from pipelines.local.view import View, Wants, open_view
from retrain.errors import ConfigError
from tests.unit.leaders import ENV, Bench, open_bench

needs_namespace = pytest.mark.skipif(bool(no_namespace()), reason=f"no rung namespace: {no_namespace()}")
RUNGS = [Rung.rewrite, pytest.param(Rung.namespace, marks=needs_namespace)]


class Machine:
    """Runs shell texts as steps, each in a home of its own."""

    def __init__(self, place: Path, bench: Bench) -> None:
        self.project = place / "project"
        self.project.mkdir()
        self.place, self.bench = place, bench

    def open(self, rung: Rung, **wants: Any) -> tuple[Path, View]:
        home = self.bench.home()
        view = open_view(rung, home, Wants(**wants), self.project, keep=(Path(sys.prefix), Path(sys.base_prefix)))
        view.prepare()
        return home, view

    def run(self, rung: Rung, source: str, **wants: Any) -> tuple[Ending, str, View]:
        """(how it ended, what it printed, its view)."""
        home, view = self.open(rung, **wants)
        (home / "script").write_text(view.rewrite(source))
        shell = view.which("sh", ENV["PATH"])
        assert shell is not None
        leader = self.bench.spawner.launch(home, view.command([shell, str(home / "script")], ENV))
        ending = self.bench.finish(home, leader)
        assert ending is not None
        return ending, "".join(read_all(home / "main.log")) + ending.trouble, view


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with open_bench(tmp_path) as bench:
        yield Machine(tmp_path, bench)


def test_every_rung_is_there_or_says_why_not() -> None:
    rungs = available_rungs()
    assert set(rungs) == set(Rung)
    assert rungs[Rung.rewrite] == ""


@pytest.mark.parametrize("rung", RUNGS)
def test_a_step_that_declares_nothing_absolute_runs_on_the_host_as_it_is(machine: Machine, rung: Rung) -> None:
    ending, said, view = machine.run(rung, "pwd; echo 0.9 > accuracy", paths=("accuracy",))
    assert ending.code == 0
    assert said == f"{view.root}\n"
    assert view.rung is None
    assert view.locate("accuracy").read_text() == "0.9\n"


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("path", ["/tmp/hello.txt", "/result.txt", "/not/on/this/host/model.bin", "/mnt/out/x"])
def test_a_declared_path_is_private_and_found(machine: Machine, rung: Rung, path: str) -> None:
    ending, said, view = machine.run(rung, f"mkdir -p $(dirname {path}); echo hi > {path}; cat {path}", paths=(path,))
    assert (ending.code, said) == (0, "hi\n")
    assert view.found(path).read_text() == "hi\n"
    assert view.found(path).is_relative_to(view.root)
    assert not Path(path).exists()


@pytest.mark.parametrize("rung", RUNGS)
def test_a_relative_file_lies_at_the_root_as_in_an_image(machine: Machine, rung: Rung) -> None:
    _, _, view = machine.run(rung, "echo heads > result.txt", paths=("/result.txt",))
    assert view.found("/result.txt").read_text() == "heads\n"


@pytest.mark.parametrize("rung", RUNGS)
def test_an_input_is_there_under_its_name(machine: Machine, rung: Rung) -> None:
    home, view = machine.open(rung, paths=("/in/data.csv",))
    place = view.locate("/in/data.csv")
    place.parent.mkdir(parents=True)
    place.write_text("1,2\n")
    shell = view.which("sh", ENV["PATH"])
    assert shell is not None
    command = view.command([shell, "-c", "cat /in/data.csv; cd /in && ls"], ENV)
    machine.bench.finish(home, machine.bench.spawner.launch(home, command))
    assert "".join(read_all(home / "main.log")) == "1,2\ndata.csv\n"


@pytest.mark.parametrize("rung", RUNGS)
def test_a_volume_is_seen_and_written_at_its_place(machine: Machine, rung: Rung) -> None:
    volume = machine.place / "volume"
    volume.mkdir()
    (volume / "old").write_text("old\n")
    source = "cat /mnt/vol/old; echo new > /mnt/vol/new"
    ending, said, view = machine.run(rung, source, mounts=(Mount(volume, "/mnt/vol"),), paths=("/mnt/vol/new",))
    assert (ending.code, said) == (0, "old\n")
    assert (volume / "new").read_text() == "new\n"
    assert view.found("/mnt/vol/new") == volume / "new"


@pytest.mark.parametrize("rung", RUNGS)
def test_the_project_can_be_read_and_written(machine: Machine, rung: Rung) -> None:
    (machine.project / "code").write_text("code\n")
    source = f"cat {machine.project}/code; echo x > {machine.project}/made"
    ending, said, _ = machine.run(rung, source, paths=("/tmp/x",))
    assert (ending.code, said) == (0, "code\n")
    assert (machine.project / "made").exists()


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("way", ["absolute", "relative", "directory", "chain"])
def test_a_link_of_the_step_leads_nowhere(machine: Machine, rung: Rung, way: str) -> None:
    target = "../../../../../../../../../etc/hostname" if way == "relative" else "/etc/hostname"
    source = {
        "directory": "ln -s /etc /tmp/out",
        "chain": "ln -s /etc /tmp/a; ln -s /tmp/a/hostname /tmp/out",
    }.get(way, f"ln -s {target} /tmp/out")
    path = "/tmp/out/hostname" if way == "directory" else "/tmp/out"
    _, _, view = machine.run(rung, source, paths=("/tmp/out",))
    with pytest.raises(ConfigError, match="leads out"):
        view.found(path)


@pytest.mark.parametrize("path", ["/tmp/../etc/passwd", "../x", "a/../../x"])
@pytest.mark.parametrize("rung", RUNGS)
def test_dots_lead_nowhere(machine: Machine, rung: Rung, path: str) -> None:
    with pytest.raises(ConfigError, match="leads out"):
        machine.open(rung, paths=("/tmp/x",))[1].locate(path)


@pytest.mark.parametrize("rung", RUNGS)
def test_links_in_a_circle_end(machine: Machine, rung: Rung) -> None:
    _, _, view = machine.run(rung, "ln -s /tmp/b /tmp/a; ln -s /tmp/a /tmp/b", paths=("/tmp/a",))
    if rung is Rung.rewrite:
        assert not view.found("/tmp/a").exists()
    else:
        with pytest.raises(ConfigError, match="circle"):
            view.found("/tmp/a")


@pytest.mark.parametrize("rung", RUNGS)
def test_a_working_directory_of_the_image_is_private_and_made(machine: Machine, rung: Rung) -> None:
    ending, _, view = machine.run(rung, "echo x > here", working_dir="/app/src", paths=("/app/src/here",))
    assert ending.code == 0
    assert view.found("/app/src/here").read_text() == view.found("here").read_text() == "x\n"


@pytest.mark.parametrize("rung", RUNGS)
def test_a_working_directory_of_the_project_is_used(machine: Machine, rung: Rung) -> None:
    (machine.project / "src").mkdir()
    _, said, _ = machine.run(rung, "pwd", working_dir="src", paths=("/tmp/x",))
    assert said == f"{machine.project}/src\n"
    with pytest.raises(ConfigError, match="outside the project"):
        machine.open(rung, working_dir="../elsewhere")


@needs_namespace
def test_the_host_is_read_only_and_tmp_is_private(machine: Machine) -> None:
    source = "touch /usr/x 2>&1; touch /etc/x 2>&1; ls -A /mnt; echo a > /tmp/a; echo b > /new; ls /new"
    _, said, view = machine.run(Rung.namespace, source, paths=("/tmp/x",))
    assert said.count("Read-only file system") == 2
    assert said.endswith("/new\n")
    assert (view.root / "tmp/a").exists()
    assert not Path("/new").exists()


@needs_namespace
def test_proc_mounts_shows_a_volume(machine: Machine) -> None:
    volume = machine.place / "volume"
    volume.mkdir()
    source = "grep -c ' /mnt/vol ' /proc/mounts"
    _, said, _ = machine.run(Rung.namespace, source, mounts=(Mount(volume, "/mnt/vol", readonly=True),))
    assert said == "1\n"


@needs_namespace
def test_a_read_only_volume_cannot_be_written(machine: Machine) -> None:
    volume = machine.place / "volume"
    volume.mkdir()
    _, said, _ = machine.run(
        Rung.namespace, "touch /mnt/vol/x 2>&1", mounts=(Mount(volume, "/mnt/vol", readonly=True),)
    )
    assert "Read-only" in said


@needs_namespace
def test_a_declared_path_in_a_directory_of_the_host_is_the_steps_own(machine: Machine) -> None:
    """It sees what the host has there, and what it writes is its own."""
    source = "ls /etc | wc -l; echo mine > /etc/retrain-test; cat /etc/hostname"
    ending, said, view = machine.run(Rung.namespace, source, paths=("/etc/retrain-test",))
    if "overlay" in ending.trouble:
        pytest.skip(f"this file system carries no overlay: {ending.trouble}")
    assert ending.code == 0
    assert said.endswith(Path("/etc/hostname").read_text())
    assert view.found("/etc/retrain-test").read_text() == "mine\n"
    assert not Path("/etc/retrain-test").exists()


@needs_namespace
def test_a_directory_of_the_host_that_the_step_left_alone_is_found_as_it_is(machine: Machine) -> None:
    _, _, view = machine.run(Rung.namespace, "true", paths=("/etc",))
    assert view.found("/etc") == Path("/etc")
    assert view.locate("/etc") == view.root / "etc"


@needs_namespace
def test_where_inputs_are_put_is_never_the_hosts(machine: Machine) -> None:
    _, view = machine.open(Rung.namespace, paths=("/usr/local/bin/tool", "/bin/tool", "/etc/hostname"))
    for path in ("/usr/local/bin/tool", "/bin/tool", "/etc/hostname"):
        assert view.locate(path).is_relative_to(view.root)
    with pytest.raises(ConfigError, match="must be declared"):
        view.locate("/var/lib/x")


@needs_namespace
def test_a_root_without_an_overlay_is_the_same(machine: Machine) -> None:
    """As where the disk is an overlay itself. The bookkeeping of one cannot lie on another file system."""
    home, view = machine.open(Rung.namespace, paths=("/tmp/out", "/result.txt"))
    source = "cd /; echo a > /tmp/out; echo b > result.txt; ls -d /usr /bin /proc /tmp; touch /usr/x 2>&1; true"
    command = view.command(["/bin/sh", "-c", source], ENV)
    assert command.layout is not None
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        command = replace(command, layout=replace(command.layout, scratch=Path(elsewhere)))
        ending = machine.bench.finish(home, machine.bench.spawner.launch(home, command))

    assert ending is not None
    assert ending.code == 0, ending
    assert (view.root / "usr").is_dir(), "what is mounted on lies on the disk, so there was no overlay"
    assert (view.found("/tmp/out").read_text(), view.found("/result.txt").read_text()) == ("a\n", "b\n")
    assert "Read-only" in "".join(read_all(home / "main.log"))


@needs_namespace
def test_the_private_directory_is_the_root_under_its_name_of_the_host_too(machine: Machine) -> None:
    home, view = machine.open(Rung.namespace, paths=("/accuracy",))
    source = f"ls /accuracy 2>/dev/null; echo 0.9 > {view.root}/accuracy; cat /accuracy; echo x > /y; cat {view.root}/y"
    machine.bench.finish(home, machine.bench.spawner.launch(home, view.command(["/bin/sh", "-c", source], ENV)))
    assert "".join(read_all(home / "main.log")) == "0.9\nx\n"
    assert view.found("/accuracy").read_text() == "0.9\n"


@pytest.mark.parametrize("path", ["/", "/proc/x", "/dev/shm/x"])
@needs_namespace
def test_what_cannot_be_private_is_refused(machine: Machine, path: str) -> None:
    with pytest.raises(ConfigError):
        machine.open(Rung.namespace, paths=(path,))


@needs_namespace
def test_a_step_cannot_undo_anothers_root(machine: Machine) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    machine.run(Rung.namespace, "umount /usr; mount --bind /tmp /mnt; true", paths=("/tmp/x",))
    assert Path("/proc/self/mountinfo").read_text() == before


components = st.sampled_from(["a", "b", "..", ".", "tmp", "etc", "hostname", "link", "out"])
link_targets = st.lists(components, min_size=1, max_size=5).map("/".join) | st.sampled_from(
    ["/", "/etc", "/etc/hostname", "../../../../../etc", "/proc/self/root/etc", "/tmp/out"]
)


@pytest.mark.parametrize("rung", RUNGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "link", "out"]), link_targets), max_size=4),
    st.lists(components, min_size=1, max_size=4),
)
def test_no_tree_that_a_step_can_make_leads_out(
    machine: Machine, rung: Rung, links: list[tuple[str, str]], path: list[str]
) -> None:
    home, view = machine.open(rung, paths=("/tmp/out",))
    tmp = view.root / "tmp"
    for name, target in links:
        if not os.path.lexists(tmp / name):
            (tmp / name).symlink_to(target)
    try:
        found = view.found("/".join(["/tmp", *path]))
    except ConfigError:
        return
    assert Path(os.path.realpath(found)).is_relative_to(os.path.realpath(home)) or found.is_relative_to(machine.project)
