"""Objects of any kind that say themselves when they end, and what comes of them, in annotations.

    retrain.dev/success-condition: status.phase == Done
    retrain.dev/failure-condition: status.phase in (Failed, Error)
    retrain.dev/outputs: '{"model": "{.status.model}"}'

The conditions are those of Argo's resource template: label selectors over paths. An object of a kind that has a reader
of its own is read by it where it names no condition; its `outputs` are added to what the reader found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from pipelines.agents.conditions import check, compile_condition
from pipelines.agents.kubepath import compile_kubepath
from pipelines.kubernetes.kinds.controls import by_removal
from pipelines.kubernetes.kinds.port import Kind, Object, Reading
from pipelines.kubernetes.kinds.status import (
    LONGEST,
    items,
    mapping,
    metadata_of,
    parameters,
    time_of,
    with_nodes,
    word,
)
from retrain.errors import ConfigError

SUCCESS = "retrain.dev/success-condition"
FAILURE = "retrain.dev/failure-condition"
OUTPUTS = "retrain.dev/outputs"
TRACK = "retrain.dev/track"
"""`false`: an object is no run, though its kind is known."""


def annotations_of(found: Object) -> Mapping[str, Any]:
    return mapping(metadata_of(found).get("annotations"))


def untracked(found: Object) -> bool:
    """Whether it says that it is no run."""
    return annotations_of(found).get(TRACK) == "false"


def has_conditions(found: Object) -> bool:
    """Whether it says when it ends."""
    said = annotations_of(found)
    return bool(word(said.get(SUCCESS)) or word(said.get(FAILURE)))


def conditioned(api_version: str, kind: str) -> Kind:
    """The kind of an object that says itself when it ends."""
    group, _, version = api_version.rpartition("/")
    return Kind(group, version, kind, "", read, controls=by_removal())


def read(found: Object) -> Reading:
    """What its conditions say. A failure counts before a success; one without either runs until it is deleted."""
    said = annotations_of(found)
    started = time_of(metadata_of(found).get("creationTimestamp"))
    try:
        success = compile_condition(word(said.get(SUCCESS)))
        failure = compile_condition(word(said.get(FAILURE)))
    except ConfigError as error:
        return with_nodes(found, Reading("Error", f"its condition cannot be read: {error}", started))
    try:
        done = check(found, (), failure) and bool(success) and check(found, success, ())
    except ConfigError as error:
        return with_nodes(found, Reading("Failed", str(error)[:LONGEST], started))
    return with_nodes(found, Reading("Succeeded" if done else "Running", "", started))


def with_outputs(kind: Kind) -> Kind:
    """The kind whose objects name outputs."""
    return replace(kind, read=partial(_read_outputs, kind))


def names_outputs(found: Object) -> bool:
    return OUTPUTS in annotations_of(found)


def _read_outputs(kind: Kind, found: Object) -> Reading:
    reading = kind.read(found)
    known = [(str(one.get("name")), str(one.get("value"))) for one in items(mapping(reading.outputs).get("parameters"))]
    outputs = parameters([*_outputs(found), *known])
    nodes = reading.nodes
    root = word(metadata_of(found).get("name"))
    if outputs and nodes and root in nodes:
        nodes = {**nodes, root: {**nodes[root], "outputs": outputs}}
    return replace(reading, outputs=outputs, nodes=nodes)


def _outputs(found: Object) -> Iterator[tuple[str, str]]:
    for name, path in outputs_said(word(annotations_of(found).get(OUTPUTS))).items():
        try:
            value = compile_kubepath(path).render(found)
        except ConfigError:
            continue  # who wrote it was told at lint and when it was made
        if value:
            yield name, value


def outputs_said(text: str) -> Mapping[str, str]:
    """Name of an output -> its jsonPath; none where the text is no such object."""
    try:
        said = json.loads(text) if text else {}
    except ValueError:
        said = {}
    if not isinstance(said, dict):
        return {}
    return {name: path for name, path in cast("dict[str, Any]", said).items() if isinstance(path, str)}
