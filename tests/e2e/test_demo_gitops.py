"""The example of the way to production tells its story, with all that it stands on real, and leaves nothing running."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.gitops import demo
from retrain.app.projects.lint import lint

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_the_story_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    place = tmp_path / "gitops"

    ended = demo.main(place)
    told = capsys.readouterr().out

    assert ended == 0, told
    assert lint([place / "project"]).findings == ()
    assert not [line for line in told.splitlines() if str(place) in line]
