"""What `retrain lint` says of a project, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from retrain.app.projects.project import load_project
from retrain.events import JsonValue
from retrain.manifests import Finding


@dataclass(frozen=True, slots=True)
class Report:
    """How much was read, and what was found. `skipped` counts files of a directory that are no manifests of ours."""

    files: int
    documents: int
    skipped: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        return sum(f.severity == "error" for f in self.findings)

    def to_json(self) -> dict[str, JsonValue]:
        """The report as scripts read it."""
        return {"files": self.files, "documents": self.documents, "findings": [asdict(f) for f in self.findings]}

    def summary(self) -> str:
        """One line for people: `3 files, 5 documents: 1 error, 2 warnings`."""
        warnings = len(self.findings) - self.errors
        counted = f"{_count(self.files, 'file')}, {_count(self.documents, 'document')}"
        found = f"{_count(self.errors, 'error')}, {_count(warnings, 'warning')}"
        passed = f" ({_count(self.skipped, 'file')} passed over: no manifest of ours)" if self.skipped else ""
        return f"{counted}: {found}{passed}"


def lint(paths: Iterable[str | Path]) -> Report:
    """Read and check everything that the paths hold."""
    project = load_project(paths)
    return Report(len(project.files), project.documents, len(project.skipped), project.findings)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
