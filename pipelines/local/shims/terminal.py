"""Gives a program a terminal: terminal.py PROGRAM ARG... What is written to it goes to stdout, and ours is its
end: its exit code, or 128 and the number of the signal.

Only the standard library: it runs without the packages beside Retrain.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import sys

NOT_STARTED = 64
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(words: list[str]) -> int:
    pid, terminal = pty.fork()
    if pid == 0:
        become(words)

    def pass_on(number: int, _frame: object) -> None:
        # It has a session of its own, so what is sent to our group does not reach it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    watched = os.pidfd_open(pid)
    while watched not in select.select([terminal, watched], [], [])[0]:
        if not copy(terminal):
            break
    # It has ended, though what it left behind may hold the terminal open: only what was written until now counts.
    while select.select([terminal], [], [], 0)[0] and copy(terminal):
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def copy(terminal: int) -> bool:
    """Hand on what was written; False where nobody has the terminal any more."""
    try:
        data = os.read(terminal, 65536)
    except OSError:
        return False
    os.write(1, data)
    return bool(data)


def become(words: list[str]) -> None:
    try:
        os.execv(words[0], words)  # noqa: S606  # an argument list, never a shell's text
    except OSError as error:
        os.write(2, f"fork/exec {words[0]}: {(error.strerror or '').lower()}\n".encode())
    os._exit(NOT_STARTED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
