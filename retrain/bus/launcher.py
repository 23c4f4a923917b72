"""Become another program that dies with the process that started it. Run as a script, never imported.

    python -I -S launcher.py PARENT_PID PROGRAM ARGUMENT...

Linux sends the signal when the *thread* that forked ends, so the parent must fork from a thread that lives as long as
the program is wanted. It is asked for here, after the fork, because Python code between fork and exec is not safe in a
process with threads. Standard library only: it starts in about 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, program = int(arguments[0]), arguments[1]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before we asked
        sys.exit(1)
    os.execv(program, arguments[1:])  # noqa: S606 - no shell, and the caller chose the program


if __name__ == "__main__":
    main(sys.argv[1:])
