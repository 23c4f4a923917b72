"""A private root, by system calls: a mount namespace in which `/` is a directory of ours."""

# No pathlib: it is slow to load, and every leader would carry it.
# ruff: noqa: PTH102, PTH103, PTH211, PTH123

from __future__ import annotations

import contextlib
import ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to load
    from typing import Any

    Order = dict[str, Any]

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
_OPEN_TREE_CLONE, _AT_RECURSIVE, _AT_EMPTY_PATH, _AT_FDCWD = 1, 0x8000, 0x1000, -100
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 1
_MNT_DETACH = 2
_SYS_OPEN_TREE, _SYS_MOVE_MOUNT, _SYS_MOUNT_SETATTR = 428, 429, 442  # the same on every architecture

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class NoPlace(OSError):
    """The private root could not be made, or the working directory is not there."""


def enter(layout: Order) -> None:
    """Give this process a mount namespace in which `/` is the layout's root; see `mounts.Layout`.

    Raises:
        OSError: what could not be done, with the path.
    """
    _unshare()
    root: str = layout["root"]
    _mount("", "/", "", _MS_REC | _MS_PRIVATE, "")
    as_they_are = {path: _clone(path) for path in layout["as_they_are"]}
    own = _clone(root)
    private = {path: _clone(root + path) for path in layout["private"]}
    mounts = [(_clone(source), target, readonly) for source, target, readonly in layout["mounts"]]
    overlays = [
        (path, _overlay(path, root + path, f"{layout['scratch']}/{i}")) for i, path in enumerate(layout["overlaid"])
    ]
    shown = [(path, _readonly(_clone(path))) for path in layout["shown"]]
    overlaid = _overlay_root(layout)
    if overlaid:
        os.close(own)
    else:
        _move(own, root)
        _furnish(root, layout)
    for path, tree in (*as_they_are.items(), *shown):
        _move(tree, root + path)
    for path, tree in private.items():
        _move(tree, root + path)
    for path, place in overlays:
        _mount(place, root + path, "", _MS_MOVE, "")
    for tree, target, readonly in mounts:
        _move(_readonly(tree) if readonly else tree, root + target)
    os.chdir(root)
    _checked(libc.pivot_root(b".", b"."), "pivot_root", root)
    _checked(libc.umount2(b".", _MNT_DETACH), "umount", "/")
    os.chdir("/")
    if overlaid:
        # Under its name of the host too it must be the overlay: what is written past one need not show in it.
        _mount("/", root, "", _MS_BIND, "")


def _overlay_root(layout: Order) -> bool:
    """Mount the root as an overlay: the points to mount on lie in memory, what the step writes in the root's directory.

    To make those points on the disk, for every step, takes longer than all else. False where no overlay can be had,
    as inside of a container whose own disk is one.
    """
    low, work = f"{layout['scratch']}/low", f"{layout['scratch']}/root"
    os.makedirs(low, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    _mount("tmpfs", low, "tmpfs", 0, "mode=755,size=1m")
    _furnish(low, layout)
    try:
        _mount_overlay(low, layout["root"], work, layout["root"])
    except OSError:
        return False
    return True


def _furnish(root: str, layout: Order) -> None:
    """Make the points to mount on, and the links, below a root."""
    for path in (*layout["as_they_are"], *layout["shown"], "/tmp", "/mnt"):  # noqa: S108  # they are the step's own
        with contextlib.suppress(FileExistsError):
            os.mkdir(root + path)
    for name, target in layout["links"]:
        with contextlib.suppress(FileExistsError):
            os.symlink(target, root + name)


def _unshare() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and libc.unshare(_CLONE_NEWNS) == 0:
        return
    _checked(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare", "a user and mount namespace")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _clone(path: str) -> int:
    """A copy of what is mounted at a path, with all below it, that is not mounted anywhere yet."""
    found = libc.syscall(
        ctypes.c_long(_SYS_OPEN_TREE), ctypes.c_int(_AT_FDCWD), os.fsencode(path),
        ctypes.c_uint(_OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC),
    )  # fmt: skip
    return _checked(found, "open_tree", path)


def _move(tree: int, path: str) -> None:
    done = libc.syscall(
        ctypes.c_long(_SYS_MOVE_MOUNT), ctypes.c_int(tree), b"", ctypes.c_int(_AT_FDCWD), os.fsencode(path),
        ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH),
    )  # fmt: skip
    _checked(done, "move_mount", path)
    os.close(tree)


def _readonly(tree: int) -> int:
    """Make a copy read-only, with all that is mounted below it."""
    wanted = (ctypes.c_uint64 * 4)(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    done = libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR), ctypes.c_int(tree), b"", ctypes.c_uint(_AT_RECURSIVE | _AT_EMPTY_PATH),
        ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)),
    )  # fmt: skip
    _checked(done, "mount_setattr", "read-only")
    return tree


def _overlay(lower: str, upper: str, scratch: str) -> str:
    """Mount a directory of the host with what is written to it landing in `upper`; where it is mounted for now."""
    for path in (f"{scratch}/work", f"{scratch}/merged"):
        os.makedirs(path, exist_ok=True)
    _mount_overlay(lower, upper, f"{scratch}/work", f"{scratch}/merged")
    return f"{scratch}/merged"


def _mount_overlay(lower: str, upper: str, work: str, place: str) -> None:
    options = f"lowerdir={_escaped(lower)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    _mount("overlay", place, "overlay", 0, options + ("" if _owns_host() else ",userxattr"))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _owns_host() -> bool:
    with open("/proc/self/uid_map", "rb") as file:
        return file.read().split()[2] != b"1"


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    done = libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(options) or None,
    )
    _checked(done, kind or "mount", target)


def _checked(result: int, what: str, path: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise NoPlace(number, f"private root: {what} {path}: {os.strerror(number).lower()}")
    return result
