"""Files and directories -> documents and findings.

A file that is named is read, whatever it holds. In a directory (walked recursively, in the order of names) only
`*.yaml`, `*.yml` and `*.json` files with a document of ours count. Others (kustomization.yaml, values.yaml,
package.json, manifests of other systems) are passed over in silence, and so are hidden files and directories, and
Helm charts, whose templates are not YAML.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import cast

from retrain.events import JsonValue
from retrain.manifests.document import Document, Finding, Positions, Spot, dotted
from retrain.manifests.reading import Read, Unreadable, decode, read

MAX_BYTES = 10 * 1024 * 1024
"""Bytes of one file. Kubernetes takes 1.5 MB of one object at most."""

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
GROUPS = ("argoproj.io", "retrain.dev")
"""The API groups whose kinds are ours."""

KINDS = frozenset(
    {
        *("EventSource", "Sensor", "EventBus", "Promotion"),
        *("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow", "WorkflowEventBinding"),
    }
)
"""Kinds of ours: with them a mistyped group is taken for ours and complained about, instead of passed over."""

CORE = frozenset({"ConfigMap", "Secret", "PersistentVolumeClaim", "List"})
"""Kinds of `v1` that workflows and sensors refer to."""

_UNREAD = frozenset({"no-such-path", "unreadable", "too-large"})
_NEAR = 0.8
"""How alike two groups are that differ by a typing error."""


Keep = Callable[[Path, Callable[[Path], tuple[list[Document], list[Finding]]]], tuple[list[Document], list[Finding]]]
"""Gives the documents of a file and what is wrong with it: from memory, or by the function that reads it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What paths hold. `files` were read, `skipped` were passed over in a directory."""

    files: tuple[str, ...]
    skipped: tuple[str, ...]
    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]


def load_file(path: str | Path) -> tuple[list[Document], list[Finding]]:
    """The documents of one file, and what is wrong with it. Never raises because of what the file holds or lacks."""
    try:
        text = decode(_bytes(Path(path)))
    except Unreadable as error:
        return [], [_complaint(str(path), error)]
    return load_text(text, str(path))


def load_text(text: str, file: str) -> tuple[list[Document], list[Finding]]:
    """The documents of a text; `file` is the name that findings show."""
    documents: list[Document] = []
    findings: list[Finding] = []
    try:
        for one in read(text):
            findings += [_complaint(file, complaint) for complaint in one.complaints]
            _take(one, file, documents, findings)
    except Unreadable as error:
        findings.append(_complaint(file, error))
    return documents, findings


def load_paths(paths: Iterable[str | Path]) -> tuple[list[Document], list[Finding]]:
    """The documents of files and directories, and what is wrong with them."""
    loaded = read_paths(paths)
    return list(loaded.documents), list(loaded.findings)


def read_paths(paths: Iterable[str | Path], keep: Keep | None = None) -> Loaded:
    """As `load_paths`, with the names of the files. A file that two of the paths lead to is read once.

    `keep` may give what a file of a directory held when it was read last, instead of having it read.
    """
    files: list[str] = []
    skipped: list[str] = []
    documents: list[Document] = []
    findings: list[Finding] = []
    seen: set[Path] = set()
    for named, path in _walk(paths):
        real = path.resolve()
        if real in seen:
            continue
        seen.add(real)
        if named:
            found, wrong = load_file(path)
        else:
            found, wrong = _load_beside(path) if keep is None else keep(path, _load_beside)
        if not named and not wrong and not any(is_ours(d.api_version, d.kind) for d in found):
            skipped.append(str(path))
            continue
        if not any(f.code in _UNREAD for f in wrong):
            files.append(str(path))
        documents += found
        findings += wrong
    return Loaded(tuple(files), tuple(skipped), tuple(documents), tuple(findings))


def is_ours(api_version: str, kind: str) -> bool:
    """Whether a document is meant for us, be it with a typing error in its group."""
    group, slash, _ = api_version.rpartition("/")
    if group in GROUPS:
        return True
    if api_version == "v1":
        return kind in CORE
    if kind not in KINDS:
        return False
    return not slash or any(SequenceMatcher(None, group, ours).ratio() >= _NEAR for ours in GROUPS)


def _walk(paths: Iterable[str | Path]) -> Iterator[tuple[bool, Path]]:
    """Files with whether the user named them himself."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from ((False, file) for file in manifests_under(path))
        else:
            yield True, path


def manifests_under(root: str | Path) -> Iterator[Path]:
    """The files of a directory that may be manifests, in the order in which they are read."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and not Path(folder, f, "Chart.yaml").exists())
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES and file.is_file():
                yield file


def _load_beside(path: Path) -> tuple[list[Document], list[Finding]]:
    """A file that a directory happens to hold: nothing is said of one that has no document of ours."""
    try:
        data = _bytes(path)
        if b"apiVersion" not in data:  # this spares parsing most of them
            return [], []
        text = decode(data)
    except Unreadable as error:
        return [], [_complaint(str(path), error)]
    documents, findings = load_text(text, str(path))
    # A file that breaks off may have had its documents of ours behind the break: say it.
    broken = any(f.code == "bad-yaml" for f in findings)
    if broken or any(is_ours(d.api_version, d.kind) for d in documents):
        return documents, findings
    return [], []


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise Unreadable(1, 1, "no-such-path", f"there is no file or directory {str(path)!r}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unreadable(1, 1, "unreadable", f"cannot be read: {reason}") from error
    if len(data) > MAX_BYTES:
        raise Unreadable(1, 1, "too-large", f"larger than {MAX_BYTES // 1024 // 1024} MB")
    return data


def _take(one: Read, file: str, documents: list[Document], findings: list[Finding]) -> None:
    """Add a document; a `kind: List` gives its items."""
    body, spot = one.value, one.spot
    if not isinstance(body, dict):
        message = f"a manifest is a mapping with apiVersion and kind, not {describe(body)}"
        findings.append(_complaint(file, Unreadable(spot.line, spot.column, "not-a-manifest", message)))
        return
    if body.get("kind") == "List" and body.get("apiVersion") == "v1":
        _take_items(body, spot, file, documents, findings)
        return
    missing = [name for name in ("apiVersion", "kind") if not body.get(name)]
    if missing:
        message = f"{' and '.join(missing)} missing; every manifest begins with apiVersion and kind"
        findings.append(_complaint(file, Unreadable(spot.line, spot.column, "not-a-manifest", message)))
        return
    positions = Positions(file, spot)
    for name in ("apiVersion", "kind"):
        if not isinstance(body[name], str):
            mark = positions.at((name,))
            message = f"{name} must be text, not {describe(body[name])}"
            findings.append(_complaint(file, Unreadable(mark.line, mark.column, "not-a-manifest", message), name))
            return
    documents.append(Document(body["apiVersion"], body["kind"], _name(body), body, file, spot.line, positions))


def _take_items(
    body: dict[str, JsonValue], spot: Spot, file: str, documents: list[Document], findings: list[Finding]
) -> None:
    items, child = body.get("items") or [], spot.child("items")
    if not isinstance(items, list) or child is None:
        if items:
            mark = Positions(file, spot).at(("items",))
            message = f"items must be a list of manifests, not {describe(items)}"
            findings.append(_complaint(file, Unreadable(mark.line, mark.column, "not-a-manifest", message), "items"))
        return
    for index, item in enumerate(cast("list[JsonValue]", items)):
        inner = child.child(index) or child
        _take(Read(item, inner, ()), file, documents, findings)


def _name(body: dict[str, JsonValue]) -> str:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    name = metadata.get("name") or metadata.get("generateName")
    return name if isinstance(name, str) else ""


def describe(value: JsonValue) -> str:
    """A value in the words of a complaint."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {value if len(value) <= 40 else value[:37] + '...'!r}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _complaint(file: str, error: Unreadable, *path: str) -> Finding:
    return Finding(file, error.line, error.column, "", "", dotted(path), "error", error.code, error.message)
