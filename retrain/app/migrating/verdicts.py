"""What becomes of one object: the loader's findings and the facts about it, as one verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from retrain.app.migrating.facts import FACTS, Fact, Verdict
from retrain.app.operator.buses import meant
from retrain.events import JsonValue
from retrain.manifests import Document, Finding, dotted

RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
RUNS_ON_ARGO = frozenset({"unsupported-kind", "unsupported-field"})
"""Warnings of what Argo runs and the engine of this machine does not."""
ON_A_CLUSTER = frozenset({"duplicate-name"})
"""Errors of files beside each other that a cluster does not know: what is applied later replaces what was there."""
NO_NEWS = (("ignored-kind", ""), ("not-portable", "retryStrategy"))
"""Findings that a fact says better: the code, and how the path ends."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to know of an object. `verdict` is what it makes of the object; AS_IS changes nothing.

    `line` counts from 1, and is 0 where the object has no file.
    """

    verdict: Verdict
    code: str
    path: str
    line: int
    message: str

    def to_json(self) -> dict[str, JsonValue]:
        """As scripts read it."""
        return {
            "verdict": self.verdict.value,
            "code": self.code,
            "path": self.path,
            "line": self.line,
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """An object with what becomes of it. `notes`: the weightiest first. `file` is "" for one of a cluster."""

    kind: str
    namespace: str
    name: str
    file: str
    line: int
    verdict: Verdict
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """As scripts read it."""
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "file": self.file,
            "line": self.line,
            "verdict": self.verdict.value,
            "notes": [note.to_json() for note in self.notes],
        }


def judge(
    document: Document, findings: Iterable[Finding], *, in_files: bool, moves: Mapping[int, int] | None = None
) -> Judged:
    """What becomes of an object. `findings`: the loader's about it; `in_files`: it has a file and lines; `moves`: its
    ports that another EventSource has, too, with the numbers under which they are served."""
    notes = [*_of_findings(findings, in_files=in_files), *_of_facts(document, in_files=in_files)]
    notes += _of_ports(document, moves or {}, in_files=in_files)
    if document.kind == "EventBus" and (refused := meant(document.body).refused):
        path, _, reason = refused.partition(": ")
        line = document.at(path.split(".")).line if in_files else 0
        notes.append(Note(Verdict.REFUSED, "unsupported-kind", path, line, reason))
    notes.sort(key=lambda note: (-RANK[note.verdict], note.line))
    return Judged(
        document.kind,
        document.namespace,
        document.name,
        document.file if in_files else "",
        document.line if in_files else 0,
        max((note.verdict for note in notes), key=RANK.__getitem__, default=Verdict.AS_IS),
        tuple(notes),
    )


def unreadable(finding: Finding) -> Judged:
    """A text that is no object at all."""
    note = Note(Verdict.REFUSED, finding.code, finding.path, finding.line, finding.message)
    return Judged(finding.kind, "", finding.name, finding.file, finding.line, Verdict.REFUSED, (note,))


def general(kinds: Iterable[str]) -> list[tuple[str, Fact]]:
    """What holds for every object of these kinds, with the kind."""
    return [(kind, fact) for kind in sorted(set(kinds)) for fact in FACTS.get(kind, ()) if fact.general]


def pair(documents: Sequence[Document], findings: Iterable[Finding]) -> tuple[list[list[Finding]], list[Finding]]:
    """The findings of each document, and those that are of none: a text that cannot be read."""
    found: list[list[Finding]] = [[] for _ in documents]
    rest: list[Finding] = []
    places: dict[str, list[int]] = {}
    for index, document in enumerate(documents):
        places.setdefault(document.file, []).append(index)
    for finding in findings:
        inside = [
            index
            for index in places.get(finding.file, ())
            if documents[index].line <= finding.line and (documents[index].kind, documents[index].name) == _who(finding)
        ]
        (found[inside[-1]] if inside else rest).append(finding)
    return found, rest


def _who(finding: Finding) -> tuple[str, str]:
    return finding.kind, finding.name


def _of_findings(findings: Iterable[Finding], *, in_files: bool) -> Iterator[Note]:
    for one in findings:
        if not any(one.code == code and one.path.endswith(end) for code, end in NO_NEWS):
            yield Note(_weight(one), one.code, one.path, one.line if in_files else 0, one.message)


def _weight(finding: Finding) -> Verdict:
    if finding.code in ON_A_CLUSTER and finding.path == "metadata.name":
        return Verdict.DIFFERS
    if finding.severity == "error":
        return Verdict.REFUSED
    if finding.code in RUNS_ON_ARGO:
        return Verdict.DIFFERS
    return Verdict.AS_IS


def _of_ports(document: Document, moves: Mapping[int, int], *, in_files: bool) -> Iterator[Note]:
    """A Service of ours leads to the other number; one of the user's own must be changed."""
    spec = document.body.get("spec")
    asks = isinstance(spec, dict) and bool(spec.get("service"))
    for port, served in moves.items():
        line = document.at(("spec",)).line if in_files else 0
        text = f"port {port} with this endpoint is another EventSource's, too; this one is served on port {served}"
        how = "its Service leads there" if asks else "give it service.ports, so that its Service leads there"
        yield Note(Verdict.AS_IS if asks else Verdict.DIFFERS, "same-port", "spec", line, f"{text}: {how}")


def _of_facts(document: Document, *, in_files: bool) -> Iterator[Note]:
    if not document.api_version.startswith("argoproj.io/"):
        return
    for fact in FACTS.get(document.kind, ()):
        for path in () if fact.general else fact.places(document.body):
            line = document.at(path).line if in_files else 0
            yield Note(fact.verdict, fact.code, dotted(path), line, f"there: {fact.there}; here: {fact.here}")
