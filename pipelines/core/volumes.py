"""The volumes of one step: the workflow's, with what the step's own inputs fill in, and over them its template's.

Source: `substitutePodParams` and `addVolumeReferences` in workflow/controller/workflowpod.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.core.happenings import Task
from pipelines.core.substitute import Unresolved, replace
from pipelines.core.variables import Known
from retrain.errors import ConfigError


def volumes_of(spec: Mapping[str, Any], task: Task) -> list[Mapping[str, Any]]:
    """Of a workflow's `spec` and the task's template, by name; the template's win.

    A volume of the workflow may be named by an input: `claimName: "{{inputs.parameters.claim}}"`.

    Raises:
        ConfigError: a text in one is no expression.
    """
    own: Sequence[Mapping[str, Any]] = task.template.get("volumes") or ()
    known = {f"inputs.parameters.{name}": value for name, value in task.inputs.parameters.items()}
    scope = Known({**known, "pod.name": task.pod_name, "node.name": task.node_name})
    try:
        shared: Sequence[Mapping[str, Any]] = replace(spec.get("volumes") or [], scope)
    except Unresolved as error:
        raise ConfigError(f"spec.volumes: {error}") from error
    return list({str(volume.get("name", "")): volume for volume in (*shared, *own)}.values())
