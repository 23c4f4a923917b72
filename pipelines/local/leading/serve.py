"""The spawner: forks leaders, and is small, so that they are."""

from __future__ import annotations

import _socket
import gc
import os
import signal
import sys

from .lead import be_leader, reap

PLATFORM = 3
GOODBYE = b"."


def serve() -> None:
    """Fork a leader for each socket that comes, until no more can come.

    If the platform is gone without a word, this process becomes what its own arguments say, if they say something.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
        # A handler, not SIG_IGN: an exec puts a handler back to the default, so that steps start with none of this.
        signal.signal(number, _nothing)
    # What the platform itself was given to inherit is not for steps.
    os.closerange(PLATFORM + 1, os.sysconf("SC_OPEN_MAX"))
    boot = boot_id()
    # What is here now is never looked at by a collection: in a leader that would touch, and so copy, all of it.
    gc.freeze()
    platform = _socket.socket(fileno=PLATFORM)
    while (mine := _next_socket(platform)) is not None:
        reap()
        if os.fork() == 0:
            platform.close()
            be_leader(mine, boot)
        os.close(mine)
    if words := sys.argv[2:]:
        os.execv(words[0], words)  # noqa: S606  # words of the platform that has started us


def _nothing(_number: int, _frame: object) -> None:
    pass


def _next_socket(platform: _socket.socket) -> int | None:
    data, extra, _, _ = platform.recvmsg(1, _socket.CMSG_LEN(4))
    for level, kind, body in extra:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            mine = int.from_bytes(body[:4], sys.byteorder)
            # A step that had it too would hide the leader's end from the platform.
            os.set_inheritable(mine, False)
            return mine
    if data == GOODBYE:
        sys.exit()
    return None if not data else -1


def boot_id() -> bytes:
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:  # noqa: PTH123
        return file.read().strip()
