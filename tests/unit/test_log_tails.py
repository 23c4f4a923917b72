"""The end of a log is found from its end, wherever the blocks that are read fall."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.local import logs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(texts=st.lists(st.text("ab é", max_size=12), max_size=30), count=st.integers(0, 35), block=st.integers(20, 200))
def test_the_tail_is_the_end_of_the_whole(
    texts: list[str], count: int, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "main.log"
    path.write_bytes(b"".join(f"2026-11-21T10:57:05.123456Z both F {text}\n".encode() for text in texts))
    monkeypatch.setattr(logs, "CHUNK", block)

    found = [line.text for line in logs.lines(path, tail=count)]

    assert found == texts[len(texts) - min(count, len(texts)) :]


def test_what_comes_after_the_tail_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "main.log"
    follower = logs.Follower(path, tail=1)
    assert follower.read() == []
    for number in range(3):
        with path.open("a") as file:
            file.write(f"2026-11-21T10:57:05.123456Z both F {number}\n")

    assert [line.text for line in follower.read()] == ["0", "1", "2"]
    assert follower.read() == []
