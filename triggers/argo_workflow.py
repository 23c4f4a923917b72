"""The `argoWorkflow` trigger: what it asks of workflows, written down in the transaction that marks its firing done."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection

from pipelines.engines import ENGINE
from pipelines.host import control
from pipelines.host.control import ResubmitOptions, Verb
from pipelines.host.queue import RunRequest, submit
from pipelines.kubernetes.policy import Written, check
from pipelines.local.foreground import with_parameters
from retrain.errors import ConfigError, NotFound, Permanent, Refused
from retrain.events import JsonValue
from retrain.store import runs
from retrain.store.runs import RunRow
from triggers.cluster_workflows import engine_wanted, make, may_be_argo
from triggers.object_policy import Seen, judge, read_policy
from triggers.port import CREATED, Firing, Later, StoreTrigger, Tools
from triggers.workflow_request import (
    SUBMITS,
    Submission,
    build_submission,
    generated_name,
    labels_from,
    read_operation,
    run_id_of,
)
from triggers.workflow_wish import Operation, Wish, build_wish

MOST = 100
"""Runs that one firing may act on by a label selector."""
FAILED = ("Failed", "Error")


class ArgoWorkflowTrigger:
    """Submits workflows to the engine's queue in the store, and asks things of those that are there."""

    topic = "runs"

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._clock = tools.clock

    def asks(self, firing: Firing) -> bool:
        """Whether it is for Argo's controller: then its Workflow is made first."""
        submits = (firing.action.get("operation") or "submit") in SUBMITS
        return submits and CREATED not in firing.action and may_be_argo(firing.action, self._tools)

    async def prepare(self, firing: Firing) -> Firing:
        """The firing with its Workflow on the cluster; as it is where the local engine runs it.

        Raises:
            Permanent: what is asked for cannot be.
            Transient, Refused, ConfigError, NotFound: as the cluster says it.
        """
        read_operation(firing)
        read_policy(firing.action.get("policy"))
        submission = build_submission(firing)
        if engine_wanted(submission.manifest, self._tools) != "argo":
            return firing
        return await make(submission, firing, self._tools)

    def record(self, connection: Connection, firing: Firing, now: datetime) -> JsonValue | Later:
        """Write down what is asked; once only, whatever happens.

        The result: `{"run", "name"}` of a new run, else `{"asked", "runs": [{"id", "name"}]}`.

        Raises:
            Permanent: what is asked for cannot be, or is not built; the message says what.
            NotFound: there is no such workflow.
        """
        operation = read_operation(firing)
        if operation in SUBMITS:
            return record_run(connection, build_submission(firing), firing, self._tools, now)
        wish = build_wish(firing, cast("Operation", operation))
        if wish.operation == "resubmit":
            return self._resubmit(connection, wish, firing, now)
        if read_policy(firing.action.get("policy")) is not None:
            raise Permanent(f"policy.k8s goes with what makes a workflow, not with {operation}")
        return self._ask(connection, wish, firing, now)

    def _resubmit(self, connection: Connection, wish: Wish, firing: Firing, now: datetime) -> JsonValue | Later:
        run_id = run_id_of(firing.id)
        if runs.get(connection, run_id) is None:
            run = _named(connection, wish)
            self._check(firing, run, wish.parameters)
            prefix = (run.manifest.get("metadata") or {}).get("generateName") or f"{run.name}-"
            options = ResubmitOptions(
                parameters=wish.parameters,
                labels=labels_from(firing),
                run_id=run_id,
                firing_id=firing.id,
                name=generated_name(str(prefix), firing.id),
                depth=firing.depth,
                priority=wish.priority if wish.priority is not None else (firing.priority or None),
            )
            try:
                control.resubmit(connection, run, options, self._clock)
            except ConfigError as error:
                raise Permanent(f"the workflow cannot run: {error}") from error
        return judged(connection, run_id, firing, now)

    def _ask(self, connection: Connection, wish: Wish, firing: Firing, now: datetime) -> JsonValue:
        chosen = [_named(connection, wish)] if wish.fits is None else _selected(connection, wish)
        for run in chosen:
            self._check(firing, run, wish.retry.parameters)
            try:
                if wish.operation == "retry":
                    control.retry(connection, run, wish.retry, now)
                else:
                    control.ask(connection, run, cast("Verb", wish.operation))
            except (Refused, ConfigError) as error:
                raise Permanent(str(error)) from error
        return {"asked": wish.operation, "runs": [{"id": run.id, "name": run.name} for run in chosen]}

    def _check(self, firing: Firing, run: RunRow, parameters: Mapping[str, str]) -> None:
        """Values for the old workflow's parameters may come from an event, and may lead where it may not choose."""
        if run.engine == "local":
            return
        led = Written(run.manifest).chosen(with_parameters(run.manifest, parameters)) if parameters else []
        check([*firing.chosen, *led], self._tools.allow, run.namespace)


def record_run(
    connection: Connection, submission: Submission, firing: Firing, tools: Tools, now: datetime
) -> JsonValue | Later:
    """Write a run down, if it is not, and see what the firing's policy says of it.

    Raises:
        Permanent: the workflow cannot run here, or has not become what the policy wants.
    """
    _check_engine(submission, firing, tools)
    request = RunRequest(
        run_id=submission.run_id,
        firing_id=firing.id,
        manifest=submission.manifest,
        labels=submission.labels,
        depth=firing.depth,
        priority=firing.priority or None,
        engine=tools.engine,
        object=cast("dict[str, Any] | None", firing.action.get(CREATED)),
    )
    try:
        submit(connection, request, tools.clock)
    except ConfigError as error:
        raise Permanent(f"the workflow cannot run: {error}") from error
    if read_policy(firing.action.get("policy")) is None:
        # Most firings: nothing is to be waited for, so the run need not be looked at.
        return {"run": submission.run_id, "name": submission.manifest["metadata"]["name"]}
    return judged(connection, submission.run_id, firing, now)


def _check_engine(submission: Submission, firing: Firing, tools: Tools) -> None:
    """What goes to this machine's engine has no rights on a cluster; that it goes there, an event does not choose."""
    if any(ENGINE in one.path or one.value.startswith(ENGINE) for one in firing.chosen):
        metadata = cast("Mapping[str, Any]", submission.manifest["metadata"])
        check(firing.chosen, tools.allow, str(metadata.get("namespace") or ""))


def judged(connection: Connection, run_id: str, firing: Firing, now: datetime) -> JsonValue | Later:
    """The result of an act that made a run, or when to look at it again.

    Raises:
        Permanent: the run has not become what `policy.k8s` wants.
    """
    policy = read_policy(firing.action.get("policy"))
    run = runs.get(connection, run_id)
    if run is None:
        raise NotFound(f"run {run_id} is not there any more")
    over = run.phase not in runs.OPEN
    return judge(
        policy, Seen(run.name, control.labels_of(run), run.created, over), {"run": run_id, "name": run.name}, now
    )


def _named(connection: Connection, wish: Wish) -> RunRow:
    run = runs.named(connection, wish.name, wish.namespace)
    if run is None:
        where = f" in namespace {wish.namespace}" if wish.namespace else ""
        raise NotFound(f"there is no workflow {wish.name!r}{where}")
    return run


def _selected(connection: Connection, wish: Wish) -> list[RunRow]:
    phases = FAILED if wish.operation == "retry" else runs.OPEN
    found = runs.labelled(connection, wish.means, phases, MOST + 1)
    if not found:
        raise NotFound(f"no workflow that {wish.operation} can act on fits the label selector")
    if len(found) > MOST:
        raise Permanent(f"more than {MOST} workflows fit the label selector; say more")
    return found


@asynccontextmanager
async def open_argo_workflow(tools: Tools) -> AsyncGenerator[StoreTrigger]:
    """Nothing to hold: the store is the way, and the platform has the cluster."""
    yield ArgoWorkflowTrigger(tools)
