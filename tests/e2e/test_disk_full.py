"""The disk of the data directory fills up while events come: each one is acknowledged and there, or refused with words;
and when there is room again everything goes on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.platform_driver import Answer, Platform, Unreachable

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SENSOR = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: all}
spec:
  dependencies: [{name: one, eventSourceName: shop, eventName: orders}]
  triggers: [{template: {name: note, log: {}}}]
"""
PADDING = "x" * 20_000


@pytest.fixture
def small(tmp_path: Path) -> Generator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_what_is_acknowledged_while_the_disk_fills_is_there_and_the_rest_is_refused_in_words(small: Path) -> None:
    platform = Platform(small)
    platform.write("sensor.yaml", SENSOR)
    with platform:
        filler = small / "filler"
        _fill(filler, leave=6_000_000)
        taken, refused = _send_until_full(platform)

        assert taken, "some fitted"
        assert refused.status == 503, refused
        assert "disk" in json.dumps(refused.body), refused
        assert platform.send("GET", "/healthz").status == 200, "it stays up"

        filler.unlink()
        platform.wait(lambda: _send(platform, "after").taken, "events are taken again", 90.0)
        platform.wait(lambda: taken | {"after"} <= _known(platform), "every acknowledged event is there", 90.0)
        platform.wait(lambda: taken | {"after"} <= _fired(platform), "and has been decided on", 90.0)
        assert platform.stop() == 0
        platform.start()
        assert taken | {"after"} <= _known(platform)


def _send_until_full(platform: Platform) -> tuple[set[str], Answer]:
    """The ids that were acknowledged, and the first answer that was a no."""
    taken: set[str] = set()
    for number in range(2000):
        answer = _send(platform, str(number))
        if not answer.taken:
            return taken, answer
        taken.add(str(number))
    raise AssertionError("2000 events fitted on a disk that is full")


def _send(platform: Platform, id_: str) -> Answer:
    event: dict[str, Any] = {"specversion": "1.0", "id": id_, "source": "shop", "subject": "orders", "type": "t"}
    try:
        return platform.emit({**event, "data": {"padding": PADDING}})
    except Unreachable as error:
        return Answer(0, str(error))


def _known(platform: Platform) -> set[str]:
    return {event["id"] for event in platform.items("events", source="shop")}


def _fired(platform: Platform) -> set[str]:
    rows = platform.rows(
        "SELECT e.id FROM firings f JOIN firing_events fe ON fe.firing_id = f.id"
        " JOIN events e ON e.key = fe.event_key WHERE f.state = 'done'"
    )
    return {row[0] for row in rows}


def _fill(file: Path, leave: int) -> None:
    """Fill the disk but for so many bytes."""
    import shutil

    with file.open("wb") as out:
        for _ in range((shutil.disk_usage(file.parent).free - leave) // 65536):
            out.write(b"\0" * 65536)
