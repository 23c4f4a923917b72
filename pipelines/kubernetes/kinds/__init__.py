"""The kinds of objects whose life on a cluster is a run: one file each, which reads the object's status. Pure.

`kind_of` gives the reader of an object, also of one that no file here knows and that says itself, by annotation, when
it has succeeded and when it has failed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.kubernetes.kinds import (
    experiment,
    inference_service,
    job,
    kubeflow_v1,
    ray_job,
    spark_application,
    train_job,
    volcano_job,
    workflow,
)
from pipelines.kubernetes.kinds.conditioned import (
    annotations_of,
    conditioned,
    has_conditions,
    names_outputs,
    untracked,
    with_outputs,
)
from pipelines.kubernetes.kinds.port import (
    Change,
    Kind,
    Merge,
    Order,
    Phase,
    Reading,
    Remove,
    Verb,
)
from retrain.errors import Refused

_ALL = (
    job.KIND,
    *kubeflow_v1.ALL,
    train_job.KIND,
    experiment.KIND,
    ray_job.KIND,
    spark_application.KIND,
    inference_service.KIND,
    volcano_job.KIND,
    workflow.KIND,
)
KINDS: dict[tuple[str, str], Kind] = {(one.group, one.kind): one for one in _ALL}
"""(API group, kind) -> the kind."""

__all__ = [
    "KINDS",
    "Change",
    "Kind",
    "Merge",
    "Order",
    "Phase",
    "Reading",
    "Remove",
    "Verb",
    "asked_of",
    "change",
    "kind_of",
    "noting",
]


def kind_of(found: Mapping[str, Any]) -> Kind | None:
    """How an object is followed to its end; None where it is not, for its kind is not known or it says so itself."""
    api_version, kind = str(found.get("apiVersion") or ""), str(found.get("kind") or "")
    if untracked(found):
        return None
    known = (
        conditioned(api_version, kind) if has_conditions(found) else KINDS.get((api_version.rpartition("/")[0], kind))
    )
    return with_outputs(known) if known is not None and names_outputs(found) else known


ASKED = "retrain.dev/asked"
"""The annotation of an object that says what was asked of its run last, so that whoever sees its end knows why."""


def noting(verb: Verb, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The merge patch that notes on an object what is asked of it, with what else it changes."""
    return {**(body or {}), "metadata": {"annotations": {ASKED: None if verb == "resume" else verb}}}


def asked_of(found: Mapping[str, Any]) -> str | None:
    """What was asked of an object's run last; None for nothing, or to go on."""
    said = annotations_of(found).get(ASKED)
    return said if isinstance(said, str) else None


def change(found: Mapping[str, Any], verb: Verb) -> Change:
    """What to do to an object so that it stops, is suspended, ...

    Raises:
        Refused: its kind cannot do that; what it can is said.
    """
    kind = kind_of(found)
    name = f"{found.get('kind')} of {found.get('apiVersion')}"
    if kind is None or verb not in kind.controls:
        can = ", ".join((*(kind.controls if kind is not None else ()), "delete"))
        raise Refused(f"a {name} cannot {verb}; there is {can}")
    return kind.controls[verb](found)
