"""`retrain runs cp`: the artifacts of a run as files on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from posixpath import basename
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, emit, output_option, table
from retrain.cli.run_names import get_run, id_of, path_of
from retrain.errors import ConfigError, NotFound

_NAME = re.compile(r"\{(\w*)\}")
COLUMNS: tuple[Column, ...] = (
    ("STEP", lambda one: one["step"]),
    ("ARTIFACT", lambda one: one["artifact"]),
    ("FILE", lambda one: one["file"]),
)


@click.command(short_help="Copy the output artifacts of a run to a folder.")
@click.argument("name")
@click.argument("destination", type=click.Path(file_okay=False, path_type=Path))
@click.option("--artifact-name", help="Only artifacts of this name")
@click.option("--node-id", help="Only those of the step with this id")
@click.option("--template-name", help="Only those of steps of this template")
@click.option(
    "--path",
    "pattern",
    default="{namespace}/{workflowName}/{nodeId}/outputs/{artifactName}",
    show_default=True,
    help="Folder of each below DESTINATION; {templateName} may stand in it too",
)
@server_option
@output_option
def cp(name: str, destination: Path, server: str | None, output: str, **words: Any) -> None:
    """Copy the output artifacts of a run to DESTINATION, as they lie: archives stay packed

    NAME is the run's name or id, or @latest.
    """
    client = Client(server)
    run = get_run(client, name)
    done: list[dict[str, str]] = []
    for node, artifact in chosen(run, words):
        file = destination / folder_of(words["pattern"], run, node, artifact) / file_name(artifact)
        _fetch(client, path_of(id_of(run), "artifacts", node["id"], artifact["name"]), file)
        done.append({"step": str(node.get("displayName")), "artifact": artifact["name"], "file": str(file)})
    if not done:
        which = any(words[one] is not None for one in ("artifact_name", "node_id", "template_name"))
        said = "no output artifact that fits" if which else "no output artifacts"
        raise NotFound(f"{run['metadata']['name']} has {said}; `retrain runs get {name} -o wide` shows what there is")
    emit(
        {"items": done, "next": None},
        output,
        name=lambda one: one["file"],
        table=lambda page: table(COLUMNS, page["items"], empty=""),
    )


def chosen(run: Mapping[str, Any], words: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The steps that made something, each with an artifact that is meant. Logs are not among them, as in Argo."""
    nodes: Mapping[str, Mapping[str, Any]] = run["status"].get("nodes") or {}
    for node in nodes.values():
        if words["node_id"] not in (None, node["id"]) or words["template_name"] not in (None, node.get("templateName")):
            continue
        if node.get("type") not in {"Pod", "HTTP", "Suspend", "Plugin"}:
            continue  # what a group gives is what a step in it gave
        artifacts: Sequence[Mapping[str, Any]] = (node.get("outputs") or {}).get("artifacts") or ()
        for artifact in artifacts:
            is_log = str(artifact.get("name")).endswith("-logs")
            if words["artifact_name"] == artifact.get("name") or (words["artifact_name"] is None and not is_log):
                yield node, artifact


def folder_of(pattern: str, run: Mapping[str, Any], node: Mapping[str, Any], artifact: Mapping[str, Any]) -> Path:
    """The folder for an artifact, relative; no name in it leads out.

    Raises:
        ConfigError: the pattern is no relative path, or names what there is not.
    """
    names = {
        "namespace": run["metadata"].get("namespace") or "default",
        "workflowName": run["metadata"]["name"],
        "nodeId": node["id"],
        "templateName": node.get("templateName") or "",
        "artifactName": artifact["name"],
    }
    folder = Path(_NAME.sub(lambda found: _one_part(str(names.get(found[1], ""))), pattern))
    unknown = [found for found in _NAME.findall(pattern) if found not in names]
    if folder.is_absolute() or ".." in folder.parts or unknown:
        known = ", ".join(f"{{{name}}}" for name in sorted(names))
        raise ConfigError(f"--path {pattern!r}: a folder below DESTINATION, of words and {known}")
    return folder


def file_name(artifact: Mapping[str, Any]) -> str:
    """The last part of an artifact's key, else its name."""
    place: Mapping[str, Any] = artifact.get("s3") or artifact.get("gcs") or artifact.get("http") or {}
    key = str(place.get("key") or place.get("url") or "").rstrip("/")
    return _one_part(basename(key.partition("?")[0]) or str(artifact["name"]))


def _one_part(text: str) -> str:
    """A text as one part of a path: never hidden, never a way up."""
    return "".join(c if c.isprintable() and c not in "/\\\0" else "_" for c in text).lstrip(".") or "_"


def _fetch(client: Client, path: str, file: Path) -> None:
    """Write a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with fresh.open("wb") as to:
            client.save(path, to)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
