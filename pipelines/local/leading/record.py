"""How a step ended: the record that its leader leaves."""

from __future__ import annotations

import os
import time

from .output import moment

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing is slow to load
    from resource import struct_rusage

RECORD_ROOM = 4096
"""Bytes of a step's record: one block of the disk."""
END_AT = 512
"""Where in it the step's end is noted."""
NEVER_BEGAN = 64
"""The exit code of a step whose program could not be started: what Argo's executor says."""


class Ending:
    """The exit record while it comes about."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.finished = started
        self.code = NEVER_BEGAN
        self.signal = 0
        self.began = False
        self.cpu_s = 0.0
        self.peak_bytes = 0
        self.trouble = ""

    @property
    def well(self) -> bool:
        return self.code == 0 and not self.trouble

    def never_began(self, why: str) -> None:
        self.finished = time.time()
        self.trouble = why

    def note(self, status: int, usage: struct_rusage) -> None:
        self.finished = time.time()
        self.began = True
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.code = 128 + self.signal if self.signal else os.WEXITSTATUS(status)
        self.add(usage)

    def add(self, usage: struct_rusage) -> None:
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)

    def to_json(self) -> str:
        # By hand: the json module would cost every leader a part of its memory.
        trouble = "".join(
            f"\\u{ord(c):04x}" if c in '"\\' or not " " <= c <= "~" else c for c in self.trouble[:500] if c <= "\uffff"
        )
        return (
            f'{{"code": {self.code}, "signal": {self.signal or "null"}, "began": {"true" if self.began else "false"}, '
            f'"started": "{moment(self.started)}", "finished": "{moment(self.finished)}", "cpu_s": {self.cpu_s:.6f}, '
            f'"peak_bytes": {self.peak_bytes}, "trouble": "{trouble}"}}\n'
        )


def write_end(record: int, ending: Ending) -> bytes:
    """Note the end, if there is a record (not -1), and give what was noted."""
    # In place, in the room that was taken at the start. Whole or not at all: within a page of memory, and a machine
    # that goes down has another boot id afterwards.
    text = ending.to_json().encode()
    if record >= 0:
        os.pwrite(record, text, END_AT)
    return text
