"""What an ended step left behind, as a result: exit code, the tail of its stdout, the files it declared."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local.leaf import output_parameters
from pipelines.local.process import exit_code
from pipelines.local.workspace import View, Workspace
from retrain.errors import ConfigError

RESULT_BYTES = 256 * 1024
"""How much of the end of stdout becomes `outputs.result`, as upstream."""
PARAMETER_BYTES = 1024 * 1024
"""The largest output parameter: it is kept in the run's record and given to other steps as an argument."""


def collect(task: Task, seen: View, code: int, capture: bool) -> TaskResult:
    """Read the result of a step that ended with `code`. A failed step gives the outputs that are there, too.

    A missing, unreadable or oversized output makes a step that exited 0 an Error; it never hides a failure.
    """
    parameters: dict[str, str] = {}
    problem = ""
    for parameter in output_parameters(task.template):
        try:
            value = _value(parameter, seen)
        except ConfigError as error:
            problem = problem or str(error)
            continue
        if value is not None:
            parameters[parameter["name"]] = value
    failed = f"main: Error (exit code {code})" if code else ""
    phase = Phase.Failed if code else Phase.Error if problem else Phase.Succeeded
    result = _result(seen.workspace) if capture else None
    return TaskResult(task.node_id, phase, code, result, parameters, failed or problem)


def ended_at(home: Path) -> datetime | None:
    """When the leader wrote the exit code."""
    return _modified(home / "exit")


def began_at(home: Path) -> datetime | None:
    """When the leader started."""
    return _modified(home / "pid")


def recorded_exit(home: Path) -> int | None:
    """The exit code of a step that nobody saw ending; None if it has none."""
    with contextlib.suppress(OSError, ValueError):
        return exit_code(home)
    return None


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _result(workspace: Workspace) -> str | None:
    try:
        with workspace.stdout_log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - RESULT_BYTES))
            return _trimmed(file.read(RESULT_BYTES))
    except FileNotFoundError:
        return None


def _value(parameter: Mapping[str, Any], seen: View) -> str | None:
    source: Mapping[str, Any] = parameter.get("valueFrom") or {}
    path = source.get("path")
    if not path:
        return None
    try:
        return _trimmed(_read(seen.locate(path), path, parameter["name"]))
    except FileNotFoundError:
        if source.get("default") is not None:
            return str(source["default"])
        raise ConfigError(f"output parameter {parameter['name']!r}: the step left no file {path}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"output parameter {parameter['name']!r}: {path} cannot be read: {reason}") from error


def _read(path: Path, given: str, name: str) -> bytes:
    # O_NONBLOCK: a named pipe must not keep the platform waiting for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"output parameter {name!r}: {given} is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(PARAMETER_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > PARAMETER_BYTES:
        raise ConfigError(f"output parameter {name!r}: {given} is larger than {PARAMETER_BYTES} bytes")
    return data


def _trimmed(data: bytes) -> str:
    return data.decode("utf-8", errors="replace").removesuffix("\n")
