"""What a command shows on a terminal: tables as wide as it is, and long cells on several lines."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence


def on_terminal(words: Sequence[str], environment: Mapping[str, str], width: int) -> tuple[str, int]:
    """What a program prints on a terminal of so many columns, and the code that it ends with."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    # TERM decides about colours, and COLUMNS would win over the terminal.
    seen = {name: value for name, value in environment.items() if name not in {"COLUMNS", "LINES"}}
    term = {**seen, "TERM": "xterm-256color"}
    with subprocess.Popen(words, stdin=its, stdout=its, stderr=its, env=term) as program:
        os.close(its)
        told = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    return told.decode(errors="replace").replace("\r\n", "\n"), program.returncode


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when nobody has the other end any more
        return b""
