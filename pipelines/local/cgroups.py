"""What this process may use of its machine: in a container its limits, which are not what the machine has.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (`memory.max`, `cpu.max`), and for version 1
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (`memory.limit_in_bytes`) and `cpu.cfs_quota_us` of
https://docs.kernel.org/scheduler/sched-bwc.html. A limit of a group holds for all groups in it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

PROC = Path("/proc/self")
_V2 = "cgroup2"
_FIELDS = 6
"""Fields of a row of mountinfo before its optional ones."""


def cores(proc: Path = PROC) -> float:
    """Cores that may be busy at once: of those this process is let run on, as many as its groups pay for."""
    there = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return min([there, *_limits(proc, "cpu", _cpu_limit)])


def memory(proc: Path = PROC) -> float:
    """Bytes of memory that there may be."""
    there = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min([there, *_limits(proc, "memory", _memory_limit)])


def steps() -> int:
    """How many steps run at once where nobody says it: two for each core that is begun."""
    return 2 * math.ceil(cores())


def quota(text: str, period: str) -> float | None:
    """Cores that a group has: microseconds of `period` microseconds. None: nothing is limited."""
    with suppress(ValueError):
        if int(text) > 0 and int(period) > 0:
            return int(text) / int(period)
    return None


def size(text: str) -> float | None:
    """Bytes that a group has. None: nothing is limited; version 1 writes a number near 2^63 for that."""
    with suppress(ValueError):
        if 0 < (amount := int(text)) < 1 << 62:
            return float(amount)
    return None


def groups(cgroups: str, mounts: str, controller: str) -> Iterator[tuple[bool, PurePosixPath]]:
    """The folders that bound a process, from its own up to where they are mounted, and whether they are of version 2.

    `cgroups` and `mounts` are its /proc/PID/cgroup and mountinfo. A container sees its own group as the root of the
    mount, and its path as that of the machine, unless it has a namespace of its own for groups.
    """
    paths = dict(_paths(cgroups))
    for kind, controllers, root, point in _mounts(mounts):
        path = paths.get("" if kind == _V2 else controller)
        if path is None or (kind != _V2 and controller not in controllers):
            continue
        below = path.relative_to(root) if path.is_relative_to(root) else PurePosixPath()
        folder = point / below
        for one in (folder, *folder.parents):
            yield kind == _V2, one
            if one == point:
                break


def _paths(cgroups: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Controller -> path; that of version 2 has no name."""
    for row in cgroups.splitlines():
        _, _, rest = row.partition(":")
        controllers, _, path = rest.partition(":")
        for name in controllers.split(","):
            yield name, PurePosixPath(path)


def _mounts(mountinfo: str) -> Iterator[tuple[str, list[str], PurePosixPath, PurePosixPath]]:
    """The mounted hierarchies: kind, controllers, which group is the root of it, where."""
    for row in mountinfo.splitlines():
        before, _, after = row.partition(" - ")
        fields, (kind, *rest) = before.split(" "), after.split(" ") or [""]
        if kind in {_V2, "cgroup"} and len(fields) >= _FIELDS and len(rest) > 1:
            yield kind, rest[-1].split(","), PurePosixPath(fields[3]), PurePosixPath(fields[4])


def _limits(proc: Path, controller: str, limit: Callable[[bool, Path], float | None]) -> Iterable[float]:
    """Those of all groups that can be read: a machine without groups bounds nothing."""
    try:
        texts = (proc / "cgroup").read_text(), (proc / "mountinfo").read_text()
    except OSError:
        return
    for second, folder in groups(*texts, controller):
        with suppress(OSError, ValueError):
            if (found := limit(second, Path(folder))) is not None:
                yield found


def _cpu_limit(second: bool, folder: Path) -> float | None:
    if second:
        return quota(*(folder / "cpu.max").read_text().split()[:2])
    return quota((folder / "cpu.cfs_quota_us").read_text(), (folder / "cpu.cfs_period_us").read_text())


def _memory_limit(second: bool, folder: Path) -> float | None:
    return size((folder / ("memory.max" if second else "memory.limit_in_bytes")).read_text())
