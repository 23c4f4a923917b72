"""The local repository dies by SIGKILL in the middle of saves, and what it said is kept is whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from pipelines.artifacts import ArtifactRun, open_artifacts

ROOT = Path(__file__).parents[2]
KILLS = 12
RUN = ArtifactRun("r1", "w", "default", "n", "p")

# Saves the same directory and one that changes under further keys, and says each key when it is kept.
PROGRAM = """
import sys
from pathlib import Path
from pipelines.artifacts import ArtifactRun, open_artifacts

data, source, start = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
keeper = open_artifacts(data, {})
run = ArtifactRun("r1", "w", "default", "n", "p")
for number in range(start, start + 100_000):
    (source / "changes").write_text(str(number) * 1000)
    archive = ("none", "tar", "zip")[number % 3]
    keeper.save({"name": "d", "archive": {archive: {}}, "s3": {"key": f"k/{number}"}}, source, run)
    keeper.load({"name": "d", "archive": {archive: {}}, "s3": {"key": f"k/{number}"}}, data / "in", run)
    print(number, flush=True)
"""


def test_what_was_kept_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    data, source = tmp_path / "data", tmp_path / "out"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "large").write_bytes(os.urandom(3 << 20))
    (source / "small").write_text("small")
    dice = random.Random(7)
    kept: list[int] = []
    for round_ in range(KILLS):
        words = [sys.executable, "-c", PROGRAM, str(data), str(source), str(round_ * 1_000_000)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            for _ in range(dice.randint(1, 4)):
                kept.append(int(process.stdout.readline()))
            _spin(dice.random() * 0.03)
            process.kill()
            kept += [int(line) for line in process.stdout.read().splitlines()]

    keeper = open_artifacts(data, {})
    keeper.local.sweep(time.time() + 60, grace_s=0)

    for number in kept:
        archive = ("none", "tar", "zip")[number % 3]
        artifact = {"name": "d", "archive": {archive: {}}, "s3": {"key": f"k/{number}"}}
        keeper.load(artifact, tmp_path / "in", RUN)
        assert (tmp_path / "in" / "changes").read_text() == str(number) * 1000
        assert (tmp_path / "in" / "sub" / "large").read_bytes() == (source / "sub" / "large").read_bytes()
    assert len(kept) >= KILLS
    assert list((data / "artifacts" / "tmp").iterdir()) == []
    assert {path.name for path in data.iterdir()} <= {"artifacts", "in", f".loading-{_loading()}"}


def _loading() -> str:
    from hashlib import sha256

    return sha256(b"in").hexdigest()[:16]


def _spin(seconds: float) -> None:
    """Pass a random moment: there is nothing to wait for, any instant will do."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
