"""Sensors that submit a Workflow for each event, with one value of the event as its parameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Submits:
    """What differs between them. `event`: EventSource and event. `value`: of the event, as a trigger's `dataKey`;
    `parameter`: of the Workflow, whose other `templates` come after `main`."""

    event: tuple[str, str]
    value: str
    parameter: str
    main: dict[str, Any]
    templates: tuple[dict[str, Any], ...] = ()

    def workflow(self) -> dict[str, Any]:
        """The Workflow as it is written into the Sensor."""
        arguments = {"parameters": [{"name": self.parameter, "value": "never"}]}
        templates = [{"name": "main", **self.main}, *self.templates]
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": "train-"},
            "spec": {"entrypoint": "main", "arguments": arguments, "templates": templates},
        }

    def sensor(self, name: str, api_version: str, **spec: Any) -> dict[str, Any]:
        """The Sensor; `spec`: what else it says."""
        source, event = self.event
        action = {
            "operation": "submit",
            "source": {"resource": self.workflow()},
            "parameters": [
                {
                    "src": {"dependencyName": "it", "dataKey": self.value},
                    "dest": "spec.arguments.parameters.0.value",
                }
            ],
        }
        said = {
            "dependencies": [{"name": "it", "eventSourceName": source, "eventName": event}],
            "triggers": [{"template": {"name": "submit", "argoWorkflow": action}}],
        }
        return {"apiVersion": api_version, "kind": "Sensor", "metadata": {"name": name}, "spec": {**spec, **said}}
