"""What BusyBox's `nc` does: nc [-lkzvn] [-w SECONDS] [-p PORT] [-s ADDRESS] [HOST PORT] [-e PROGRAM ARG...].

Only the standard library: it runs without the packages beside Retrain.
"""

from __future__ import annotations

import getopt
import os
import socket
import subprocess
import sys
import threading


def main(words: list[str]) -> int:
    try:
        flags, rest = getopt.getopt(words, "lkzvnuw:i:p:s:e")
    except getopt.GetoptError as error:
        say(f"nc: {error}")
        return 1
    options = dict(flags)
    program = rest if "-e" in options else []
    if "-u" in options:
        say("nc: UDP is not done here")
        return 1
    if "-l" in options:
        port = options.get("-p") or (rest[-1] if rest and not program else "")
        return listen(options.get("-s", ""), int(port or 0), program, again="-k" in options)
    if len(rest) < 2:
        say("usage: nc [-lkzvn] [-w SECONDS] [-p PORT] [-s ADDRESS] [HOST PORT] [-e PROGRAM ARG...]")
        return 1
    host, port = rest[0], rest[1]
    program = rest[3:] if rest[2:3] == ["-e"] else []
    wait = float(options["-w"]) if "-w" in options else None
    try:
        connection = socket.create_connection((host, int(port)), wait)
    except OSError as error:
        say(f"nc: {host} ({port}): {error.strerror or error}")
        return 1
    if "-z" in options:
        if "-v" in options:
            say(f"{host} ({port}) open")
        return 0
    connection.settimeout(None)
    serve(connection, program)
    return 0


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def listen(address: str, port: int, program: list[str], *, again: bool) -> int:
    # Two pods may have the same port of a cluster; here they share the machine's.
    server = socket.create_server((address, port), reuse_port=True)
    while True:
        connection, _ = server.accept()
        if not again:
            server.close()
            serve(connection, program)
            return 0
        if program:
            threading.Thread(target=serve, args=(connection, program), daemon=True).start()
        else:
            serve(connection, program)


def serve(connection: socket.socket, program: list[str]) -> None:
    """A connection to its end: with a program at the other side, or with our own input and output."""
    with connection:
        if program:
            subprocess.run(program, stdin=connection.fileno(), stdout=connection.fileno(), check=False)
            return
        threading.Thread(target=send, args=(connection,), daemon=True).start()
        while data := connection.recv(65536):
            os.write(1, data)


def send(connection: socket.socket) -> None:
    try:
        while data := os.read(0, 65536):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side is gone, which the reading side sees too


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
