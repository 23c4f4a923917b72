"""`retrain run`: workflows here and now, in the foreground, without a platform."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli import run_leftovers
from retrain.cli.run_interrupts import NOTHING_DONE, Interrupts, how_far, interrupted, open_interrupts
from retrain.cli.run_print import Look, colour_option, look_of, picture_option, print_run, utf8_option
from retrain.cli.run_refused import InvalidWorkflows
from retrain.errors import ConfigError, Refused, RetrainError

if TYPE_CHECKING:
    from pipelines.core.engine import Decision, Run
    from pipelines.local.executor import Limits
    from pipelines.local.foreground import LocalRun
    from pipelines.local.isolation import Rung
    from pipelines.local.leaf import Surroundings
    from retrain.app.projects.project import Project
    from retrain.app.settings import PipelinesGroup
    from retrain.cli.run_view import View
    from retrain.clock import Clock

CONTAINERS = ("docker", "podman")
ENGINES = ("local", *CONTAINERS, "argo")
SETTINGS_FILE = "retrain.yaml"


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a workflow parameter")
@click.option(
    "-f", "--parameter-file", type=click.Path(path_type=Path), help="A YAML or JSON file of parameters; -p wins"
)
@click.option("--with", "beside", multiple=True, type=click.Path(), help="Templates, ConfigMaps and Secrets to load")
@click.option("--entrypoint", metavar="TEMPLATE", help="Begin with this template")
@click.option("--labels", multiple=True, metavar="NAME=VALUE,...", help="Labels of the workflow")
@click.option("--name", help="The run's name, instead of the manifest's")
@click.option("--project", type=click.Path(path_type=Path), default=".", help="$RETRAIN_PROJECT of the steps [here]")
@click.option("--engine", type=click.Choice(ENGINES), default="local", help="What runs it")
@click.option("-n", "--namespace", help="With --engine argo: where to run it [the manifest's, else the kubeconfig's]")
@click.option("--any-image", is_flag=True, help="Run the commands of unknown images with this machine's programs")
@click.option("--gpus", type=click.IntRange(0), help="GPUs that steps may share [those of this machine]")
@click.option("--slots", multiple=True, metavar="NAME=AMOUNT,...", help="What steps may share: cpu=4,memory=8Gi")
@click.option("--jobs", type=click.IntRange(1), help="Steps at once [twice the cores]")
@click.option("--grace", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds to end after SIGTERM")
@click.option("--keep", is_flag=True, help="Keep the directories of the steps, with their logs")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Keep state, memos and artifacts here between runs"
)
@click.option("--dry-run", is_flag=True, help="Show what would run, and run nothing")
@click.option("--watch/--no-watch", default=None, help="Draw the tree as it grows [on a terminal]")
@utf8_option
@colour_option
@picture_option
@click.pass_context
def run(context: click.Context, output: str, **options: Any) -> None:
    """Run the workflows in files

    Each Workflow in each file, one after the other, as processes of this machine; with `--engine argo` on the cluster
    of the kubeconfig, by Argo's controller. `-o json` prints the Workflow object with Argo's status. Exits with 0 if
    all succeeded, 1 if one did not, 2 if one cannot be run, 130 if interrupted.
    """
    look = look_of(options)
    _log_to_stderr()
    if options["engine"] == "argo":
        from retrain.cli.run_argo import run_on_cluster

        context.exit(run_on_cluster(options, output, look))
    if options["namespace"]:
        raise ConfigError("--namespace: only a cluster has them; leave it out, or say --engine argo")
    if options["dry_run"]:
        _show_plans(options, output, look)
        return
    with open_interrupts() as interrupts:
        try:
            ended = _in_directory(options, look, interrupts)
        except InvalidWorkflows as error:
            if output in {"json", "yaml"}:
                for workflow in error.workflows:
                    print_run(workflow, output, look)
            raise
        except KeyboardInterrupt:
            click.echo(NOTHING_DONE, err=True)
            context.exit(130)
        for one in ended.runs:
            _print(one, output, look)
        if interrupts.came:
            click.echo(how_far(ended.runs[-1].exact if ended.runs else None, ended.ahead), err=True)
            context.exit(130)
        context.exit(0 if all(one.succeeded for one in ended.runs) else 1)


def _log_to_stderr() -> None:
    """Logs are for stderr, and people at a terminal see the run itself: only what is wrong is logged."""
    from retrain.app.logs import prepare

    prepare(os.environ.get("RETRAIN_LOG_LEVEL", "warning"))


@dataclass(frozen=True, slots=True)
class _Wish:
    """What to run, and what with."""

    runs: Sequence[LocalRun]
    around: Surroundings
    limits: Limits
    look: Look
    tree: bool | None
    kept: bool
    """What the run leaves stays in the data directory, for the next one."""


@dataclass(frozen=True, slots=True)
class _Done:
    """A run that has ended, as a Workflow object: as Argo writes it, and with times to the microsecond for people."""

    workflow: dict[str, Any]
    exact: dict[str, Any]

    @property
    def succeeded(self) -> bool:
        return self.workflow["status"]["phase"] == "Succeeded"


class _Ended:
    """What became of the workflows, as far as it came."""

    def __init__(self, ahead: int) -> None:
        self.runs: list[_Done] = []
        self.ahead = ahead
        """How many have not begun."""
        self.view: View | None = None
        """Where a run is shown now."""
        self.run: Run | None = None
        """The one that goes on."""

    def cut_off(self) -> None:
        """It was interrupted: what goes on has ended as it stands now."""
        from pipelines.local.foreground import to_workflow
        from retrain.cli.run_view import with_exact_times

        if self.run is not None and not self.run.ended:
            workflow = interrupted(to_workflow(self.run))
            self.runs.append(_Done(workflow, with_exact_times(workflow, self.run)))


def _in_directory(options: Mapping[str, Any], look: Look, interrupts: Interrupts) -> _Ended:
    """Run all, in the directory that is asked for or in one that is gone afterwards."""
    if options["data"]:
        data = options["data"].resolve()
        data.mkdir(parents=True, exist_ok=True)
        run_leftovers.sweep(data)
        return _run_all(_wish(data, options, look), interrupts)
    run_leftovers.sweep(None)
    with run_leftovers.own_directory(keep=options["keep"]) as data:
        try:
            return _run_all(_wish(data, options, look), interrupts)
        finally:
            if options["keep"]:
                click.echo(f"kept: {data}", err=True)
            else:
                run_leftovers.remove(data)


def _wish(data: Path, options: Mapping[str, Any], look: Look) -> _Wish:
    # Imported here and below: `--help` must not wait for the engine.
    from pipelines.local.executor import Limits
    from retrain.cli import run_files

    project = run_files.load(options)
    wanted = run_files.wanted(project, options)
    for note in run_files.notes([one.manifest for one in wanted], options["parameters"]):
        click.echo(f"note: {note}", err=True)
    own = not (options["data"] or options["keep"])
    last_will = run_leftovers.if_killed(data, own=own)
    limits = Limits(grace_s=options["grace"], if_killed=last_will, fleeting=own)
    if options["jobs"]:
        limits = replace(limits, slots=options["jobs"])
    around = _around(project, data, options)
    return _Wish(wanted, around, limits, look, options["watch"], kept=options["data"] is not None)


def _around(project: Project, data: Path, options: Mapping[str, Any]) -> Surroundings:
    from pipelines.local.images import Images
    from pipelines.local.isolation import Rung
    from pipelines.local.leaf import Surroundings, passed_on
    from pipelines.local.machine import SlotsSettings
    from retrain.cli.run_files import references

    folder: Path = options["project"].resolve()
    settings, slots = _settings(folder), _slots(options)
    around = Surroundings(folder, data, passed_on(os.environ), references(project), any_image=options["any_image"])
    if settings is not None:
        around = replace(
            around,
            images=Images.of(settings.images, folder),
            rung=Rung(settings.rung) if settings.rung else None,
            any_image=options["any_image"] or settings.any_image,
            archive_logs=settings.archive_logs,
        )
        slots = {**settings.slots, **slots}
    if options["engine"] in CONTAINERS:
        around = replace(around, rung=_container_rung(options["engine"]))
    return replace(around, slots=SlotsSettings.of(slots))


def _settings(folder: Path) -> PipelinesGroup | None:
    """What the project or the environment say of pipelines; reading them costs what many a run takes."""
    if not (folder / SETTINGS_FILE).is_file() and not any(name.startswith("RETRAIN_PIPELINES_") for name in os.environ):
        return None
    from retrain.app.settings import load_settings

    return load_settings(folder).pipelines


def _container_rung(name: str) -> Rung:
    """
    Raises:
        Refused: that engine does not answer.
    """
    from pipelines.local.isolation import Rung, prefer_engine

    if why := prefer_engine(name):
        raise Refused(f"--engine {name}: {why}")
    return Rung.container


def _slots(options: Mapping[str, Any]) -> dict[str, str | int | float]:
    """What the machine has to give, as the command line says it."""
    found: dict[str, str | int | float] = {}
    for part in ",".join(options["slots"]).split(","):
        name, equals, value = part.partition("=")
        if part and not (equals and name and value):
            raise ConfigError(f"--slots {part!r}: it is RESOURCE=AMOUNT, such as cpu=4,memory=8Gi,nvidia.com/gpu=2")
        if part:
            found[name.strip()] = value.strip()
    if options["gpus"] is not None:
        found["gpus"] = options["gpus"]
    return found


def _run_all(wish: _Wish, interrupts: Interrupts) -> _Ended:
    import anyio

    from pipelines.local.foreground import check_local
    from pipelines.local.isolation import Rung, engine
    from retrain.clock import SystemClock

    ended, clock = _Ended(len(wish.runs)), SystemClock()
    if len(wish.runs) > 1:  # all of them can run, or none is started; one alone is looked at as it starts
        for what in wish.runs:
            check_local(what, wish.around, clock, wish.limits)

    run_ids = [what.run_id for what in wish.runs]
    kill = partial(run_leftovers.kill_steps, wish.around.data, run_ids)

    async def main() -> None:
        refused: RetrainError | None = None
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(_attend, interrupts, scope, ended, kill)
                try:
                    for what in wish.runs:
                        ended.ahead -= 1
                        ended.runs.append(await _run_one(what, wish, clock, ended))
                except RetrainError as error:  # the group would wrap it
                    refused = error
            if scope.cancelled_caught:
                ended.cut_off()
            group.cancel_scope.cancel()
        if refused is not None:
            raise refused

    contained = engine() if wish.around.rung is Rung.container else ""
    with run_leftovers.noted(wish.around.data, run_ids, contained):
        anyio.run(main)
    return ended


async def _attend(interrupts: Interrupts, scope: Any, ended: _Ended, kill: Callable[[], object]) -> None:
    """Ctrl-C and SIGTERM end the run and its processes; another one does not wait until the steps have ended."""
    import anyio.to_thread

    await interrupts.next()
    if ended.view is not None:
        ended.view.say("interrupted: ending the steps; once more kills them")
    scope.cancel()
    while True:
        await interrupts.next()
        await anyio.to_thread.run_sync(kill)


async def _run_one(what: LocalRun, wish: _Wish, clock: Clock, ended: _Ended) -> _Done:
    from pipelines.local.foreground import run_kept, run_local, to_workflow
    from retrain.cli.run_view import open_view, with_exact_times

    with open_view(what.home(wish.around.data), wish.look, tree=wish.tree) as view:
        ended.view = view

        def see(decision: Decision) -> None:
            ended.run = decision.run
            view.show(decision)

        if wish.kept:
            workflow = await run_kept(what, wish.around, clock, wish.limits, see)
            return _Done(workflow, workflow)
        run = await run_local(what, wish.around, clock, wish.limits, see)
        workflow = to_workflow(run)
        return _Done(workflow, with_exact_times(workflow, run))


def _show_plans(options: Mapping[str, Any], output: str, look: Look) -> None:
    from pipelines.core.dry_run import dry_run
    from pipelines.local.foreground import begin_local
    from retrain.cli import run_files
    from retrain.cli.run_dry import print_plans
    from retrain.clock import SystemClock

    if output not in {"table", "json", "yaml", "name"}:
        raise ConfigError(
            f"-o {output}: --dry-run prints table, json, yaml or name; nothing has run that could be drawn"
        )
    clock = SystemClock()
    project = run_files.load(options)
    plans = [dry_run(begin_local(what, clock)) for what in run_files.wanted(project, options)]
    print_plans(plans, output, utf8=look.utf8)


def _print(done: _Done, output: str, look: Look) -> None:
    print_run(done.workflow if output in {"json", "yaml", "name"} else done.exact, output, look)
