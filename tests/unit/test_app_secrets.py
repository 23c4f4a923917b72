"""Where secrets are looked for, in which order, and that a name is never a way into another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.app.projects.secrets import ProjectSecrets
from retrain.errors import NotFound

DOCUMENT = {"metadata": {"name": "lake"}, "stringData": {"key": "from the project"}}
CONFIG = {"metadata": {"name": "lake"}, "data": {"key": "from the project"}}


def write(folder: Path, kind: str, text: str) -> None:
    file = folder / kind / "lake/key"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_variables_beat_files_and_files_beat_documents(tmp_path: Path) -> None:
    write(tmp_path, "secrets", "from a file")
    write(tmp_path, "config", "from a file")
    variables = {"RETRAIN_SECRET_LAKE_KEY": "from a variable"}

    assert ProjectSecrets([DOCUMENT], [CONFIG], variables, tmp_path).secret("lake", "key") == "from a variable"
    assert ProjectSecrets([DOCUMENT], [CONFIG], {}, tmp_path).secret("lake", "key") == "from a file"
    assert ProjectSecrets([DOCUMENT], [CONFIG], {}, tmp_path).config("lake", "key") == "from a file"
    assert ProjectSecrets([DOCUMENT], [CONFIG], {}).secret("lake", "key") == "from the project"
    assert ProjectSecrets([DOCUMENT], [CONFIG], {}, tmp_path / "none").config("lake", "key") == "from the project"


def test_a_file_that_changes_counts_at_once(tmp_path: Path) -> None:
    secrets = ProjectSecrets([], [], {}, tmp_path)
    with pytest.raises(NotFound):
        secrets.secret("lake", "key")
    for text in ("one", "two"):
        write(tmp_path, "secrets", text)
        assert secrets.secret("lake", "key") == text


@pytest.mark.parametrize(("name", "key"), [("..", "outside"), ("lake", "../../outside"), ("", "lake"), (".", "x\0")])
def test_a_name_is_no_way_to_another_folder(tmp_path: Path, name: str, key: str) -> None:
    write(tmp_path / "inside", "secrets", "in")
    (tmp_path / "inside/outside").write_text("out")

    with pytest.raises(NotFound):
        ProjectSecrets([], [], {}, tmp_path / "inside").secret(name, key)
