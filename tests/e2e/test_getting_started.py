"""`docs/getting-started.md` is typed in as it is written, from its second part on (the first is `make demo`)."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "getting-started.md"
BIN = Path(sys.executable).parent
UP = "retrain up my-project"


def blocks() -> list[str]:
    """What a reader types, block by block."""
    typed = PAGE.read_text().partition("## A project of your own")[2]
    found = re.findall(r"^```\n(.*?)^```$", typed, re.MULTILINE | re.DOTALL)
    return [block for block in found if re.match(r"retrain |cd |cat ", block)]


class Reader:
    """Somebody with a shell. A port of one's own comes from the option's variable, as the page of commands has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RETRAIN_")}
        self.environment = {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", "RETRAIN_UP_PORT": "0"}

    def types(self, text: str) -> str:
        """Run a block; what it prints. Any command that fails fails the test."""
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def leaves_running(self, line: str) -> Generator[subprocess.Popen[str]]:
        """Start a command that stays in the foreground of another terminal; it must end well on Ctrl-C."""
        with subprocess.Popen(
            ["bash", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where the tests run behind an &
        ) as process:
            try:
                yield process
                process.send_signal(2)
                assert process.wait(timeout=30) in {0, 130}
            finally:
                process.kill()

    def waits_for(self, name: str) -> None:
        """Follow the log until it tells of `name`."""
        with self.leaves_running("retrain events tail --after 0 -o json") as tail:
            assert tail.stdout is not None
            for line in tail.stdout:
                if json.loads(line).get("subject") == name:
                    return


@pytest.mark.integration
def test_getting_started_works_as_it_is_written(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    first, second, *rest = blocks()
    assert first.endswith(f"{UP}\n")
    assert second.startswith("cd my-project\n")
    assert len(rest) >= 3

    reader.types(first.removesuffix(f"{UP}\n"))
    with reader.leaves_running(UP) as up:
        assert up.stdout is not None
        assert "is up at http://127.0.0.1:" in up.stdout.readline()
        reader.types(second)
        reader.folder = tmp_path / "my-project"
        reader.waits_for("run.succeeded")
        printed = [reader.types(block) for block in rest]

    shown = "\n".join(printed)
    assert "trained on 3 rows" in shown  # logs
    assert "object file://" in shown  # trace
    assert "fires train" in shown  # explain
