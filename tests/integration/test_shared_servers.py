"""The server that a machine has one of: who starts it, who ends it. With a script in a server's place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.shared import Shared

SCRIPT = """\
home=$(dirname "$0")
echo "$1" >>"$home/calls"
case $1 in
  running) [ -e "$home/up" ] ;;
  start) [ ! -e "$home/broken" ] && touch "$home/up" || { echo "no root" >&2; exit 1; } ;;
  stop) rm -f "$home/up" ;;
esac
"""
USER = """\
import sys
from pathlib import Path
from tests.servers.shared import Shared
with Shared(Path(sys.argv[1]) / "server.sh", Path(sys.argv[1])).used():
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    (tmp_path / "server.sh").write_text(SCRIPT)
    return Shared(tmp_path / "server.sh", tmp_path)


def calls(shared: Shared) -> list[str]:
    return [one for one in (shared.home / "calls").read_text().split() if one != "running"]


def user(shared: Shared) -> subprocess.Popen[str]:
    """Another process that uses it, until it is told to leave."""
    words = [sys.executable, "-c", USER, str(shared.home)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def test_the_last_user_ends_what_the_first_has_started(shared: Shared) -> None:
    first = user(shared)
    with shared.used():
        first.communicate("leave\n")
        assert (shared.home / "up").exists()

    assert calls(shared) == ["start", "stop"]


def test_what_a_killed_user_leaves_is_ended_by_the_next(shared: Shared) -> None:
    first = user(shared)
    first.kill()
    first.communicate()
    assert (shared.home / "up").exists()

    with shared.used():
        pass

    assert calls(shared) == ["start", "stop"]


def test_what_a_person_has_started_stays(shared: Shared) -> None:
    (shared.home / "up").touch()

    with shared.used():
        pass

    assert calls(shared) == []


def test_a_start_that_fails_says_why_and_leaves_nothing(shared: Shared) -> None:
    (shared.home / "broken").touch()

    with pytest.raises(RuntimeError, match="no root"), shared.used():
        pass

    assert calls(shared) == ["start", "stop"]
    assert not (shared.home / "tests.started").exists()
