"""Packages as pip leaves them behind: a module and a dist-info with entry points, in a folder for `sys.path`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"


def install(site: Path, name: str, groups: Mapping[str, Mapping[str, str]], **modules: str) -> Path:
    """Install the distribution `name`: its entry points by group, and its modules' texts by name."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()), "")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text)
    return site


def documented() -> dict[str, str]:
    """The files of docs/plugins.md: a code block with the file's name in the line above it."""
    return dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL))


def install_documented(site: Path) -> Path:
    """Install the package of docs/plugins.md."""
    files = documented()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    return install(site, project["name"], project["entry-points"], house_kinds=files["house_kinds.py"])
