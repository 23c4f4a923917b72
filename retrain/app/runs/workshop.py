"""Where workflows run on a platform: the runner, CronWorkflows, WorkflowEventBindings, and what deletes old runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from pipelines.agents.objects_store import StoreObjects
from pipelines.agents.opening import AgentSettings
from pipelines.artifacts import open_artifacts
from pipelines.core.plan import Catalog
from pipelines.host.bindings import BindingHost, check_bindings
from pipelines.host.cron import CronHost, check_crons
from pipelines.host.given import given_objects
from pipelines.host.retention import Keep, Retention
from pipelines.host.runner import Runner, RunnerOptions
from pipelines.local.executor import Limits
from pipelines.local.images import Images
from pipelines.local.isolation import Rung
from pipelines.local.leaf import Surroundings, passed_on
from pipelines.local.machine import SlotsSettings
from retrain.app.parts import Parts, PartState
from retrain.app.projects.catalog import bodies
from retrain.app.projects.project import Project
from retrain.app.projects.secrets import ProjectSecrets
from retrain.app.settings import PipelinesGroup, Settings
from retrain.bus import Bus
from retrain.clock import Clock
from retrain.store import Store


class Start(Protocol):
    """What `retrain up` was asked for, as far as it matters here."""

    @property
    def project(self) -> Path: ...
    @property
    def data(self) -> Path: ...
    @property
    def settings(self) -> Settings: ...


@dataclass(frozen=True, slots=True)
class Ground:
    """What the workshop stands on."""

    start: Start
    bus: Bus
    store: Store
    clock: Clock
    objects: StoreObjects
    """What steps of workflows share: the project's ConfigMaps and the like, and what they write over them."""


class Workshop:
    """The parts that run workflows, built and not yet started. It knows no document before the first `take`. `traced`:
    steps are told the trace that they belong to."""

    def __init__(self, ground: Ground, owner: str, *, traced: bool = False) -> None:
        start, settings = ground.start, ground.start.settings.pipelines
        self._ground = ground
        self._catalog = Catalog()
        self.artifacts = artifacts = open_artifacts(
            start.data, ground.objects.references, settings.artifacts, environ=passed_on(os.environ)
        )
        self.runner = Runner(
            ground.store,
            ground.clock,
            _surroundings(ground, settings),
            lambda: self._catalog,
            replace(_options(settings, owner), traced=traced),
            objects=ground.objects,
            artifacts=artifacts,
        )
        self.crons = CronHost(ground.store, ground.clock, engine=settings.engine)
        self.bindings = BindingHost(ground.bus, ground.store, ground.clock, engine=settings.engine)
        self.retention = Retention(ground.store, ground.clock, start.data, artifacts, _keep(settings))

    def check(self, project: Project) -> None:
        """
        Raises:
            ConfigError: the project cannot be taken.
        """
        check_crons(bodies(project.cron_workflows))
        check_bindings(bodies(project.event_bindings))

    def take(self, project: Project, secrets: ProjectSecrets) -> None:
        """Run this project's workflows from now on. Runs that have begun keep the templates that they began with.

        Raises:
            ConfigError: as `check`; nothing has changed.
        """
        self.check(project)
        references = {
            (kind, name): values
            for kind, found in (("Secret", secrets.secrets()), ("ConfigMap", secrets.configs()))
            for name, values in found.items()
        }
        shared = (*project.config_maps, *project.secrets, *project.volume_claims, *project.workflow_templates)
        self._ground.objects.set_documents(given_objects(bodies(shared), references))
        self._catalog = Catalog.of([*bodies(project.workflow_templates), *bodies(project.config_maps)])
        self.crons.apply(bodies(project.cron_workflows))
        self.bindings.apply(bodies(project.event_bindings))

    async def start_work(self, parts: Parts) -> None:
        """Start what works from the store alone."""
        await parts.start("runner", self.runner.run)
        await parts.start("crons", self.crons.run)
        await parts.start("retention", self.retention.run)

    async def start_intake(self, parts: Parts) -> None:
        """Start what reads the bus."""
        await parts.start("bindings", self.bindings.run)

    def states(self) -> list[PartState]:
        """For `/readyz`."""
        waits = {
            "crons": self.crons.trouble,
            "bindings": self.bindings.trouble,
            "retention": self.retention.trouble,
        }
        found = [PartState(name, trouble is None, trouble) for name, trouble in waits.items()]
        return [PartState("runner", ready=True), *found]


def _surroundings(ground: Ground, settings: PipelinesGroup) -> Surroundings:
    start = ground.start
    return Surroundings(
        start.project,
        start.data,
        passed_on(os.environ),
        ground.objects.references,
        images=Images.of(settings.images, start.project),
        rung=Rung(settings.rung) if settings.rung else None,
        any_image=settings.any_image,
        slots=SlotsSettings.of(settings.slots),
        archive_logs=settings.archive_logs,
    )


def _options(settings: PipelinesGroup, owner: str) -> RunnerOptions:
    limits = Limits(grace_s=settings.grace_s, finish_s=settings.finish_s)
    if settings.max_steps is not None:
        limits = replace(limits, slots=settings.max_steps)
    agents = AgentSettings(http_private=settings.http_private)
    return RunnerOptions(settings.max_runs, settings.lease_s, limits, owner, agents=agents)


def _keep(settings: PipelinesGroup) -> Keep:
    return Keep(
        runs=timedelta(days=settings.keep_runs_days) if settings.keep_runs_days else None,
        steps=timedelta(hours=settings.keep_steps_for),
        artifact_days=settings.artifacts.keep_days if settings.artifacts else None,
    )
