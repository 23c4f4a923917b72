"""Lines that cannot be written are lost, and nothing else: on `/dev/full`, which answers as a full disk does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")
CHATTY = """\
import logging, sys, structlog
from retrain.app.logs import set_up

sys.stderr = open("/dev/full", "w")
set_up("info")
for number in range(2000):
    structlog.get_logger().info("line", number=number)
try:
    raise ValueError("a bug")
except ValueError:
    structlog.get_logger().exception("bug")
logging.getLogger("library").warning("a library's line")
print("went on", flush=True)
sys.stderr = open("/dev/null", "w")
"""


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_a_disk_full_of_logs_stops_nobody() -> None:
    done = subprocess.run([sys.executable, "-c", CHATTY], capture_output=True, text=True, timeout=60)

    assert done.stdout == "went on\n", done.stderr


def test_whoever_reads_the_log_may_go() -> None:
    words = CHATTY.replace('sys.stderr = open("/dev/full", "w")', "").replace('sys.stderr = open("/dev/null", "w")', "")
    running = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    running.stderr.close()
    running.stderr = None

    assert running.communicate(timeout=60)[0] == "went on\n"
