"""Workflows that are written in Python with Hera: the file is run, and what it defines is read as manifests.

A Python file is a program of the user's, and is only run when it is named on the command line: never by `lint` of a
folder, never by `up`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrain.errors import ConfigError

_DRIVER = Path(__file__).with_name("hera_driver.py")
_RUNNER = "hera.workflows.runner"
TIMEOUT_S = 120.0
"""A file that defines workflows takes a second or two, most of it imports."""


def manifests_of(file: Path) -> list[dict[str, Any]]:
    """The manifests that a Python file defines. If it submits some itself (`w.create()`), those workflows alone.

    Raises:
        ConfigError: it fails, or defines no workflow.
    """
    with tempfile.TemporaryDirectory(prefix="retrain-hera-") as folder:
        out = Path(folder) / "manifests.json"
        _run([sys.executable, "-P", os.fspath(_DRIVER), os.fspath(file), os.fspath(out)], file)
        found = json.loads(out.read_text())
    if not found:
        raise ConfigError(f"{file}: it defines no hera.workflows.Workflow")
    submitted = [one["manifest"] for one in found if one["submitted"]]
    return [_local(manifest, file.resolve().parent) for manifest in _chosen(found, submitted)]


def _chosen(found: list[dict[str, Any]], submitted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Templates are taken always: what is submitted may refer to them."""
    if not submitted:
        return [one["manifest"] for one in found]
    return [
        one["manifest"] for one in found if one["submitted"] or str(one["manifest"].get("kind")).endswith("Template")
    ]


def _run(argv: list[str], file: Path) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{file}: it was still running after {TIMEOUT_S:.0f} s; it may wait for a server") from None
    if done.returncode:
        lines = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()
        raise ConfigError(f"{file}: {lines[-1]}\n" + "\n".join(lines[-12:-1]))


def _local(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Functions that Hera's runner calls are imported from the file's folder."""
    for script in _scripts(manifest.get("spec") or {}):
        if _RUNNER in (script.get("args") or ()):
            env = script.setdefault("env", [])
            if not any(entry.get("name") == "PYTHONPATH" for entry in env):
                env.append({"name": "PYTHONPATH", "value": os.fspath(folder)})
    return manifest


def _scripts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("script"), dict):
            yield value["script"]
        for inner in value.values():
            yield from _scripts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scripts(inner)
