"""What a person meets in a terminal: narrow tables, an interrupt, wrong words; each on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

RETRAIN = str(Path(sys.executable).with_name("retrain"))
PATIENCE_S = 60.0
COLOURING = re.compile(r"\x1b\[[0-9;]*m")

HELLO = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: hello-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: word, value: hello}]}
  templates:
    - name: main
      script: {image: any, command: [sh], source: "echo '{{workflow.parameters.word}}'"}
"""
STUBBORN = HELLO.replace("echo '", "trap '' TERM; touch began; while :; do sleep 0.1; done; echo '")
TEMPLATE = HELLO.replace("kind: Workflow", "kind: WorkflowTemplate").replace("generateName: hello-", "name: hello")
ROWS = """\
from retrain.cli.output import table
row = {"name": "train-on-new-data-%s", "id": "%s", "none": "", "zero": 0}
columns = [("NAME", lambda r: r["name"]), ("ID", lambda r: r["id"]), ("MESSAGE", lambda r: r["none"]),
           ("PRIORITY", lambda r: r["zero"]), ("STATE", lambda r: "Succeeded"), ("SENSOR", lambda r: "digits")]
table(columns, [row, row], empty="")
"""


class Terminal:
    """A program on a terminal of so many columns, of which both streams are."""

    def __init__(self, words: Sequence[str], columns: int, folder: Path, kind: str = "xterm") -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        env = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
        env |= {"TERM": kind}
        self._process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=env)
        os.close(slave)
        self.text = ""

    def read_until(self, word: str = "") -> None:
        """Read until it has said a word, else to its end."""
        deadline = time.monotonic() + PATIENCE_S
        while not word or word not in self.text:
            assert select.select([self._master], [], [], max(0, deadline - time.monotonic()))[0], self.text
            try:
                part = os.read(self._master, 65536)
            except OSError:  # the terminal's other end is closed
                break
            self.text += part.decode(errors="replace")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Its exit code, once it has said all."""
        self.read_until()
        os.close(self._master)
        return self._process.wait(PATIENCE_S)


@pytest.mark.parametrize("columns", [60, 40, 200])
def test_a_table_is_never_wider_than_the_terminal_and_cuts_no_state(columns: int, tmp_path: Path) -> None:
    shown = Terminal([sys.executable, "-c", ROWS % ("x" * 6, "0123456789" * 2)], columns, tmp_path)

    assert shown.end() == 0
    plain = COLOURING.sub("", shown.text)
    lines = plain.splitlines()
    assert len(lines) == 4, "a row is a line"
    assert max(len(line.rstrip()) for line in lines) <= columns
    assert plain.count("Succeeded") == 2
    assert ("MESSAGE" in plain) == (columns == 200), "what nobody has anything in gives way"
    assert ("…" in plain) == (columns < 200)


def test_a_table_in_a_pipe_is_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ROWS % ("x" * 300, "0123456789" * 20)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.stdout.count("x" * 300) == 2
    assert done.stdout.count("0123456789" * 20) == 2
    assert "…" not in done.stdout


def test_an_interrupt_is_said_below_the_tree_and_ends_the_steps(tmp_path: Path) -> None:
    (tmp_path / "stubborn.yaml").write_text(STUBBORN)
    words = [RETRAIN, "run", "stubborn.yaml", "--grace", "0.5"]
    shown = Terminal(words, 60, tmp_path)
    shown.read_until("1 running")

    shown.interrupt()

    assert shown.end() == 130
    assert "interrupted: ending the steps" in shown.text
    assert "Traceback" not in shown.text


def test_a_dumb_terminal_gets_lines_without_colours(tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(HELLO)
    shown = Terminal([RETRAIN, "run", "hello.yaml"], 60, tmp_path, kind="dumb")

    assert shown.end() == 0
    assert "\x1b" not in shown.text
    assert re.search(r"^✔ hello-\w+  ", shown.text, re.MULTILINE), "each step's end is said"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["hello.yaml", "--entrypoint", "nothing"], 2, "template name 'nothing' undefined"),
        (["hello.yaml", "--with", "nowhere"], 2, "--with nowhere: there is no file or directory of that name"),
        (["hello.yaml", "-p", "wrd=x"], 0, "note: no workflow here reads the parameter 'wrd'"),
        (["hello.yaml", "-p", "word"], 2, "a parameter is NAME=VALUE"),
        (["template.yaml"], 2, "to run the WorkflowTemplate hello, write a Workflow"),
        (["nothing.yaml"], 2, "there is no file or directory 'nothing.yaml'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_stdout_is_data(
    words: list[str], code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "hello.yaml").write_text(HELLO)
    (tmp_path / "template.yaml").write_text(TEMPLATE)

    command = [RETRAIN, "run", *words, "-o", "name"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)

    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert bool(done.stdout) == (code == 0)
