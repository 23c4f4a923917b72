"""Which disk a directory is on: on a network's, the kernel tells of nothing that another machine does."""

from __future__ import annotations

import os
from pathlib import Path

REMOTE = frozenset(
    ("9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs", "virtiofs")
)
LOCAL_FUSE = frozenset(("fuse.fuse-overlayfs", "fuse.bindfs", "fuse.mergerfs"))


def network_disk(directory: str) -> str:
    """The kind of network file system that a directory is on, such as nfs4; empty where it is a local one."""
    try:
        device = os.stat(directory).st_dev  # noqa: PTH116 - names may be no text that Path keeps
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return ""
    kind = mounted(mounts, f"{os.major(device)}:{os.minor(device)}")
    remote = kind in REMOTE or (kind.startswith("fuse.") and kind not in LOCAL_FUSE)
    return kind if remote else ""


def mounted(mounts: str, device: str) -> str:
    """The file system of a device in the text of /proc/self/mountinfo; empty where it is not there. proc(5) tells."""
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        if before.split(" ")[2:3] == [device]:
            return behind.partition(" ")[0]
    return ""
