"""The objects of triggers that stand elsewhere than in the manifest: read for the platform, and kept fresh."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from retrain.app.projects.catalog import bodies
from retrain.app.projects.project import Project
from retrain.app.projects.secrets import ProjectSecrets
from sensors import SensorDocument
from sensors.objects.project import ProjectSources
from sensors.objects.remote import RemoteSources
from sensors.objects.settings import RemoteSettings
from sensors.objects.sources import REMOTE, Sources, kind_of
from sensors.trigger_spec import Source, Trigger

FOLDER = "sources"


class TriggerObjects:
    """`remote`: what reads from other places, None where the operator does not allow it."""

    def __init__(self, folder: Path, data: Path, secrets: ProjectSecrets, *, allow_remote: bool) -> None:
        self._folder = folder
        self.remote: RemoteSources | None = None
        if allow_remote:
            from sensors.objects.reading import RemoteReading

            settings = RemoteSettings()
            reading = RemoteReading(data / FOLDER / "git", secrets, os.environ, settings)
            self.remote = RemoteSources(data / FOLDER, reading, settings)

    def of(self, project: Project) -> Sources:
        """Where sensors of this version of the project find their objects."""
        values = ProjectSecrets(bodies(project.secrets), bodies(project.config_maps), os.environ)
        return ProjectSources(self._folder, values.config, self.remote)

    async def settle(self, project: Project) -> None:
        """Read what this version of the project refers to for the first time; forget what none does any more."""
        if self.remote is not None:
            self.remote.retain(one for item in project.sensors for one in sources_of(item.model))
            await self.remote.refresh(only_new=True)


def reads_project(document: SensorDocument) -> bool:
    """Whether a sensor holds texts of other files of the project, and is old when those have changed."""
    return any(kind_of(one) in {"file", "configmap"} for one in sources_of(document))


def sources_of(document: SensorDocument) -> Iterator[Source]:
    """Where the triggers of a sensor find their objects, other than in the manifest."""
    for trigger in document.spec.triggers:
        yield from _of_trigger(trigger)


def _of_trigger(trigger: Trigger) -> Iterator[Source]:
    template = trigger.template
    for body in (template.k8s, template.argo_workflow) if template is not None else ():
        if body is not None and body.source is not None and kind_of(body.source) in {*REMOTE, "file", "configmap"}:
            yield body.source
    if trigger.dlq_trigger is not None:
        yield from _of_trigger(trigger.dlq_trigger)
