"""What a process may use: read of files as a kernel writes them, in folders that stand for `/`."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.local import cgroups

GI = 1 << 30
V2 = "33 23 0:28 {root} {point} rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "35 29 0:31 {root} {point}/{name} rw,relatime shared:10 master:3 - cgroup cgroup rw,{name}\n"
OTHER = "24 29 0:22 / /proc rw,relatime - proc proc rw\n"


def proc(place: Path, group: str, mounts: str) -> Path:
    folder = place / "proc"
    folder.mkdir(exist_ok=True)
    (folder / "cgroup").write_text(group)
    (folder / "mountinfo").write_text(OTHER + mounts)
    return folder


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_a_container_with_a_namespace_of_its_own_sees_its_limits_at_the_root(tmp_path: Path) -> None:
    """Version 2, as in a pod: its group is `/`."""
    point = tmp_path / "cgroup"
    write(point, memory__max=str(GI), cpu__max="50000 100000")
    own = proc(tmp_path, "0::/\n", V2.format(root="/", point=point))

    assert cgroups.memory(own) == GI
    assert cgroups.cores(own) == 0.5


def test_the_least_of_all_groups_on_the_way_counts(tmp_path: Path) -> None:
    point = tmp_path / "cgroup"
    write(point / "pod", memory__max=str(GI), cpu__max="max 100000")
    write(point / "pod" / "container", memory__max="max", cpu__max="25000 100000")
    write(point / "other", memory__max="1", cpu__max="1 100000")
    own = proc(tmp_path, "0::/pod/container\n", V2.format(root="/", point=point))

    assert cgroups.memory(own) == GI
    assert cgroups.cores(own) == 0.25


def test_version_1_has_a_hierarchy_for_each_and_a_container_its_group_as_its_root(tmp_path: Path) -> None:
    """The path is that of the machine, which the container does not see."""
    point, path = tmp_path / "cgroup", "/kubepods/pod1/abc"
    write(point / "memory", memory__limit_in_bytes=str(GI))
    write(point / "cpu", cpu__cfs_quota_us="150000", cpu__cfs_period_us="300000")
    mounts = "".join(V1.format(root=path, point=point, name=name) for name in ("memory", "cpu"))
    own = proc(tmp_path, f"4:memory:{path}\n1:cpu,cpuacct:{path}\n0::/\n", mounts)

    assert cgroups.memory(own) == GI
    assert cgroups.cores(own) == 0.5


def test_version_1_beside_the_empty_hierarchy_of_version_2(tmp_path: Path) -> None:
    point = tmp_path / "cgroup"
    write(point / "memory" / "a", memory__limit_in_bytes=str(GI))
    (point / "unified").mkdir()
    mounts = V1.format(root="/", point=point, name="memory") + V2.format(root="/", point=point / "unified")
    own = proc(tmp_path, "4:memory:/a\n0::/\n", mounts)

    assert cgroups.memory(own) == GI


def test_what_nobody_limits_is_the_machines(tmp_path: Path) -> None:
    point = tmp_path / "cgroup"
    write(point, memory__max="max", cpu__max="max 100000")
    bare = cgroups.memory(tmp_path / "nowhere"), cgroups.cores(tmp_path / "nowhere")
    own = proc(tmp_path, "0::/\n", V2.format(root="/", point=point))

    assert (cgroups.memory(own), cgroups.cores(own)) == bare
    assert bare == (os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), len(os.sched_getaffinity(0)))


def test_a_limit_above_what_is_there_gives_no_more(tmp_path: Path) -> None:
    point = tmp_path / "cgroup"
    write(point, memory__max=str(1 << 50), cpu__max="100000000 100000")
    own = proc(tmp_path, "0::/\n", V2.format(root="/", point=point))

    assert cgroups.memory(own) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert cgroups.cores(own) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["max", "-1", "0", "", "9223372036854771712", "9223372036854775807", "many"])
def test_no_limit_of_memory(text: str) -> None:
    assert cgroups.size(text) is None


@pytest.mark.parametrize(("text", "period"), [("max", "100000"), ("-1", "100000"), ("100000", "0"), ("", "")])
def test_no_limit_of_cores(text: str, period: str) -> None:
    assert cgroups.quota(text, period) is None


@given(st.integers(1, 1 << 53))
def test_a_size_is_read_with_its_newline(amount: int) -> None:
    assert cgroups.size(f"{amount}\n") == amount


NAMES = st.lists(st.text("abc-:.", min_size=1).filter(lambda name: set(name) - {"."}), max_size=4)


@given(NAMES)
def test_the_way_goes_from_the_group_to_the_mount_and_no_further(names: list[str]) -> None:
    path = "/" + "/".join(names)

    found = [folder for _, folder in cgroups.groups(f"0::{path}\n", V2.format(root="/", point="/sys/x"), "memory")]

    assert found[0] == PurePosixPath("/sys/x", *names)
    assert found[-1] == PurePosixPath("/sys/x")
    assert len(found) == len(names) + 1


@given(st.text("0:,/ -\ncgroup2abc"), st.text("0:,/ -\ncgroup2abc"))
def test_what_makes_no_sense_bounds_nothing_and_breaks_nothing(cgroup: str, mounts: str) -> None:
    assert all(isinstance(folder, PurePosixPath) for _, folder in cgroups.groups(cgroup, mounts, "memory"))
