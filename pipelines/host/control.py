"""What people and triggers may ask of runs: stop, terminate, suspend, resume, set, retry, resubmit. All by way of the
store.

Each is one function on a connection, so that it shares the transaction of whoever asks: a trigger's wish and the record
that it was carried out are one commit. The runner does what it finds in `run_requests`; a run that is over is opened
again by `retry`, with the nodes that it keeps, and `resubmit` writes a new one down.

Notify the signal "runs" after the commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast
from uuid import uuid4

from sqlalchemy import Connection

from pipelines.core import engine, reset, suspend
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Node
from pipelines.core.plan import Catalog
from pipelines.core.reset import Choose, kept_after_reset, nothing, resubmitted
from pipelines.host.labels import COMPLETED_LABEL, OURS, PHASE_LABEL, RESUBMITTED_LABEL, is_of_the_run, labels_of
from pipelines.host.queue import RunRequest, submit
from pipelines.host.requests import WHOLE, Request, body_of, request_of, verb_of
from pipelines.host.restoring import Saved, load, restore
from pipelines.host.saving import body_of as body_of_node
from pipelines.host.verbs import VERBS, Verb
from pipelines.local.foreground import named, with_parameters
from retrain.clock import Clock
from retrain.errors import ConfigError, Refused
from retrain.store import run_requests, runs
from retrain.store.runs import RunRow

__all__ = ["COMPLETED_LABEL", "OURS", "PHASE_LABEL", "RESUBMITTED_LABEL", "VERBS", "Verb", "labels_of"]
RETRY = "retry"
_NO_VALUES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """How to retry. `restart_successful`: steps that fit `node_selector` run again though they succeeded.

    `parameters`: new values for parameters that the workflow has. Steps that are kept are not run again for them.
    `depth`: the lineage depth of whoever asks, so that a sensor which retries what it hears of comes to an end.
    """

    restart_successful: bool = False
    node_selector: str = ""
    parameters: Mapping[str, str] = field(default_factory=lambda: _NO_VALUES)
    depth: int = 0


@dataclass(frozen=True, slots=True)
class ResubmitOptions:
    """How to resubmit. `run_id`, `firing_id`, `depth` and `labels` are those of the new run, where somebody says so."""

    parameters: Mapping[str, str] = field(default_factory=lambda: _NO_VALUES)
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_VALUES)
    run_id: str | None = None
    firing_id: str | None = None
    name: str | None = None
    depth: int | None = None
    priority: int | None = None
    memoized: bool = False
    """Steps of the old run that succeeded are not run again: the new one begins with them."""


def ask(connection: Connection, run: RunRow, request: Request | Verb) -> None:
    """Ask whoever works on a run to end, suspend or resume it, or to end suspended nodes of it in some way.

    Asking twice is asking once. A request about some nodes only is checked first, as far as it can be known.

    Raises:
        Refused: the run is over, or is to end already.
        ConfigError: a selector cannot be read or chooses no node that waits, or a value does not fit.
    """
    whole = request if isinstance(request, str) else verb_of(request)
    asked = WHOLE[request] if isinstance(request, str) else request
    if whole is None:
        _check(connection, run, asked)
        if runs.request(connection, run.id, body_of(asked)):
            return
    elif runs.ask(connection, run.id, whole, body_of(asked)):
        return
    verb = whole or str(body_of(asked)["verb"])
    if run.phase in runs.OPEN and run.control in runs.ENDING:
        raise Refused(f"{run.name} was asked to {run.control} already; it cannot be asked to {verb}")
    raise Refused(f"{run.name} is over ({run.phase}); there is nothing to {verb}")


def _check(connection: Connection, run: RunRow, asked: Request) -> None:
    """
    Raises:
        Refused: the run is over.
        ConfigError: the engine would not do it, and says why.
    """
    if run.phase not in runs.OPEN:
        raise Refused(f"{run.name} is over ({run.phase}); none of its nodes waits")
    saved = load(connection, run)
    if not saved.nodes:
        raise ConfigError(f"{run.name} has not begun; none of its nodes waits")
    found = restore(run, saved, Catalog.of(cast("list[dict[str, Any]]", run.templates or [])))
    if earlier := [request_of(one.body) for one in run_requests.of_run(connection, run.id)]:
        # What was asked and is not done yet counts: a value is set, and in the next breath its node is resumed.
        engine.step(found, earlier, run.started or run.created)
    if problems := suspend.problems(found, asked):
        raise ConfigError("\n".join(problems))


def retry(connection: Connection, run: RunRow, options: RetryOptions, now: datetime) -> None:
    """Open a run that failed again: what succeeded stays, what failed and what came after it runs again.

    Raises:
        Refused: the run is open; or it succeeded, and nothing says which of its steps are to run again.
        ConfigError: the node selector cannot be read, or a parameter is none of the workflow's.
    """
    choose = chooser(run.name, run.phase, options)
    if run.engine != "local":
        # Whoever works on the runs of a cluster does it there, and the row follows.
        run_requests.put(connection, run.id, _body_of_retry(options))
        return
    before = load(connection, run)
    kept = kept_after_reset(_nodes(before), before.edges, run.name, choose, reexpand=bool(options.parameters))
    manifest = with_known_parameters(run.manifest, options.parameters)
    labels = {**run.labels, runs.RETRIES: str(run.retries + 1)}
    changes: dict[str, Any] = {"manifest": manifest, "labels": labels, "depth": max(run.depth, options.depth)}
    changes |= {"started": now} if run.started is not None else {"phase": "Pending"}
    if not runs.reopen(connection, run.id, **changes):
        raise Refused(f"{run.name} is not over; it can be retried once it has failed")
    runs.replace_nodes(connection, run.id, _bodies(kept))


def _body_of_retry(options: RetryOptions) -> dict[str, Any]:
    return {
        "verb": RETRY,
        "restart_successful": options.restart_successful,
        "node_selector": options.node_selector,
        "parameters": dict(options.parameters),
        "depth": options.depth,
    }


def retry_asked(body: Mapping[str, Any]) -> RetryOptions | None:
    """What `retry` has asked of whoever works on a cluster's runs; None: a request is another one."""
    return RetryOptions(**{key: said for key, said in body.items() if key != "verb"}) if body["verb"] == RETRY else None


def resubmit(connection: Connection, run: RunRow, options: ResubmitOptions, clock: Clock) -> str:
    """Write down a new run of a run's workflow, with its arguments; its id. The old one may be open or over.

    A run of `options.run_id` that is there already stays as it is.

    Raises:
        ConfigError: the workflow cannot run here, as `submit` says.
    """
    request = resubmission(run, options)
    made = submit(connection, request, clock)
    if made and options.memoized:
        _take_over(connection, run, request.run_id, str(request.manifest["metadata"]["name"]), options, clock.now())
    return request.run_id


def resubmission(run: RunRow, options: ResubmitOptions) -> RunRequest:
    """The new run that a resubmitted one becomes, under a name of its own."""
    body = with_parameters(run.manifest, options.parameters)
    metadata: dict[str, Any] = {**(run.manifest.get("metadata") or {})}
    metadata.setdefault("generateName", f"{run.name}-")
    metadata.pop("name", None)
    labels = {name: value for name, value in run.labels.items() if not is_of_the_run(name)}
    labels |= {RESUBMITTED_LABEL: run.name, **options.labels}
    metadata["labels"] = labels
    metadata["name"] = named({**body, "metadata": metadata}, options.name)
    return RunRequest(
        run_id=options.run_id or f"r-{uuid4().hex[:20]}",
        firing_id=options.firing_id,
        manifest={**body, "metadata": metadata},
        labels=labels,
        depth=run.depth if options.depth is None else options.depth,
        priority=run.priority if options.priority is None else options.priority,
        engine=run.engine,
    )


def _take_over(
    connection: Connection, run: RunRow, run_id: str, name: str, options: ResubmitOptions, now: datetime
) -> None:
    """Let a new run begin with what the old one has done."""
    if run.phase in runs.OPEN:
        raise Refused(f"{run.name} is {run.phase}; what it has done can be taken over once it is over")
    before = load(connection, run)
    if not before.nodes:
        return
    kept = resubmitted(_nodes(before), before.edges, run.name, name, reexpand=bool(options.parameters))
    runs.begin_with(connection, run_id, _bodies(kept), started=now)


def _nodes(saved: Saved) -> dict[str, Node]:
    return {key: Node.from_argo(body) for key, body in saved.nodes.items()}


def _bodies(kept: reset.Saved) -> dict[str, dict[str, Any]]:
    """As the store keeps nodes, each with its children."""
    bodies = {key: body_of_node(node) for key, node in kept.nodes.items()}
    for key, children in kept.edges.items():
        if children:
            bodies[key]["children"] = list(children)
    return bodies


def chooser(name: str, phase: str, options: RetryOptions) -> Choose:
    """Which nodes that succeeded run again when the run `name`, which is in `phase`, is retried.

    Raises:
        Refused: it is open; or it succeeded, and nothing says which of its steps are to run again.
        ConfigError: the node selector cannot be read.
    """
    if phase in runs.OPEN:
        raise Refused(f"{name} is {phase}; it can be retried once it has failed")
    chosen = options.restart_successful and options.node_selector
    if phase == "Succeeded" and not chosen:
        raise Refused(
            f"{name} succeeded; to run a part of it again, say which with --restart-successful and "
            "--node-field-selector"
        )
    if options.node_selector and not options.restart_successful:
        raise ConfigError("--node-field-selector chooses steps that succeeded, so it needs --restart-successful")
    return compile_selector(options.node_selector) if chosen else nothing


def with_known_parameters(manifest: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The manifest with these values for parameters that it has.

    Raises:
        ConfigError: it has no such parameter.
    """
    spec: Mapping[str, Any] = manifest.get("spec") or {}
    known = [one.get("name") for one in (spec.get("arguments") or {}).get("parameters") or ()]
    unknown = [name for name in values if name not in known]
    # What a workflowTemplateRef declares is not in sight here, and the run checks it again when it goes on.
    if unknown and not spec.get("workflowTemplateRef"):
        there = ", ".join(map(str, known)) or "none"
        raise ConfigError(f"the workflow has no parameter {unknown[0]!r}; it has {there}")
    return with_parameters(manifest, values)
