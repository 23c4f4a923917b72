"""What a platform loads only when somebody wants it: the page with its first request, promotions with the first one."""

from __future__ import annotations

import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.platform_driver import Platform, git, make_repository
from tests.e2e.promoting import PROJECT

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FILES = {"staging.yaml": "spec:\n  uri: none\n", "production.yaml": "spec:\n  uri: none\n"}
CANDIDATE = {"digest": f"sha256:{'4f' * 32}", "uri": "s3://models/1"}


def test_the_page_is_there_for_all_who_ask_first(tmp_path: Path) -> None:
    with Platform(tmp_path) as platform, ThreadPoolExecutor(8) as many:

        def look(_: int) -> int:
            with urllib.request.urlopen(f"{platform.url}/ui/", timeout=60) as answer:
                assert b"<html" in answer.read()
                return answer.status

        assert list(many.map(look, range(16))) == [200] * 16


def test_the_first_promotion_comes_while_the_platform_runs_and_what_it_left_ends_without_it(tmp_path: Path) -> None:
    repository = tmp_path / "deploy.git"
    make_repository(repository, FILES)
    with Platform(tmp_path) as platform:
        assert platform.items("promotions") == []
        file = platform.write("project.yaml", PROJECT.replace("REPOSITORY", str(repository)))
        platform.wait(lambda: "promote" in {one["name"] for one in platform.items("sensors")}, "the file is taken")
        event = {"specversion": "1.0", "id": "1", "source": "lab", "type": "model", "subject": "model"}
        assert platform.emit({**event, "data": {"candidate": CANDIDATE}}).taken

        def states() -> dict[str, str]:
            return {one["environment"]: one["state"] for one in platform.items("promotions")}

        platform.wait(lambda: states() == {"staging": "committed", "production": "awaiting"}, "it waits for approval")
        assert "s3://models/1" in git(repository, "show", "main:staging.yaml")

        assert platform.stop() == 0
        file.unlink()
        platform.start()
        platform.wait(lambda: states()["production"] not in {"awaiting", "pending"}, "what is left comes to its end")
        assert "s3://models/1" not in git(repository, "show", "main:production.yaml")
