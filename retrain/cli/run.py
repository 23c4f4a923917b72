"""`retrain run`: workflows here and now, in the foreground, without a platform."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError, Refused

if TYPE_CHECKING:
    from pipelines.core.engine import Run
    from pipelines.local.foreground import LocalRun
    from retrain.app.catalog import Item
    from retrain.app.project import Project


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a workflow parameter")
@click.option("--with", "beside", multiple=True, type=click.Path(), help="Templates, ConfigMaps and Secrets to load")
@click.option("--name", help="The run's name, instead of the manifest's")
@click.option("--project", type=click.Path(path_type=Path), default=".", help="$RETRAIN_PROJECT of the steps [here]")
@click.option("--engine", type=click.Choice(["local", "argo"]), default="local", help="What runs it")
@click.option("--jobs", type=click.IntRange(1), help="Steps at once [twice the cores]")
@click.option("--grace", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds to end after SIGTERM")
@click.option("--keep", is_flag=True, help="Keep the directories of the steps, with their logs")
@output_option
@click.pass_context
def run(context: click.Context, output: str, **options: Any) -> None:
    """Run the workflows in files

    Each Workflow in each file, one after the other, as processes of this machine. `-o json` prints the Workflow object
    with Argo's status. Exits with 0 if all succeeded, 1 if one did not, 2 if one cannot be run, 130 if interrupted.
    """
    if options["engine"] == "argo":
        raise Refused("--engine argo is not built yet; leave it out to run the workflow locally")
    data = Path(tempfile.mkdtemp(prefix="retrain-run-")).resolve()
    try:
        ended = _run_all(data, options)
    finally:
        if options["keep"]:
            click.echo(f"kept: {data}", err=True)
        else:
            shutil.rmtree(data, ignore_errors=True)
    if not ended.interrupted or ended.runs:
        _print(ended.runs, output)
    if ended.interrupted:
        context.exit(130)
    context.exit(0 if all(str(one.phase) == "Succeeded" for one in ended.runs) else 1)


class _Ended:
    """What became of the workflows, as far as it came."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.interrupted = False


def _run_all(data: Path, options: Mapping[str, Any]) -> _Ended:
    # Imported here and below: `--help` must not wait for the engine.
    import anyio

    from pipelines.local.executor import Limits
    from pipelines.local.foreground import begin_local
    from pipelines.local.leaf import Surroundings, passed_on
    from retrain.clock import SystemClock

    project = _load(options["files"], options["beside"])
    wanted = _wanted(project, options)
    folder = options["project"].resolve()
    around = Surroundings(folder, data, passed_on(os.environ), _references(project))
    limits = Limits(grace_s=options["grace"])
    if options["jobs"]:
        limits = Limits(slots=options["jobs"], grace_s=options["grace"])
    ended, clock = _Ended(), SystemClock()
    for what in wanted:
        begin_local(what, clock)  # all of them can run, or none is started

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, group.cancel_scope, ended)
            for what in wanted:
                ended.runs.append(await _run_one(what, (around, clock, limits)))
            group.cancel_scope.cancel()

    anyio.run(main)
    return ended


async def _listen(scope: Any, ended: _Ended) -> None:
    """Ctrl-C and SIGTERM end the run and its processes; a second one changes nothing, for it is on its way."""
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            if not ended.interrupted:
                ended.interrupted = True
                click.echo("interrupted: ending the steps", err=True)
                scope.cancel()


async def _run_one(what: LocalRun, tools: tuple[Any, Any, Any]) -> Run:
    from pipelines.local.foreground import run_local
    from retrain.cli.run_view import open_view

    around, clock, limits = tools
    with open_view(what.name, what.home(around.data)) as view:
        return await run_local(what, around, clock, limits, view.show)


def _load(paths: Sequence[str], beside: Sequence[str]) -> Project:
    from retrain.app.project import load_project

    project = load_project(paths, beside)
    for finding in project.findings:
        click.echo(str(finding), err=True)
    if project.errors:
        raise ConfigError("nothing was run: see the errors above")
    return project


def _wanted(project: Project, options: Mapping[str, Any]) -> list[LocalRun]:
    from pipelines.core.plan import Catalog
    from pipelines.local.foreground import LocalRun, named, with_parameters

    files = {str(file) for file in options["files"]}
    items = [item for item in project.workflows if _is_from(item, files)]
    if not items:
        raise ConfigError(f"no Workflow in {', '.join(sorted(files))}")
    if options["name"] and len(items) > 1:
        raise ConfigError(f"--name names one run, and there are {len(items)} workflows")
    catalog = Catalog.of(item.document.body for item in (*project.workflow_templates, *project.config_maps))
    values = dict(_pair(text) for text in options["parameters"])
    return [
        LocalRun(
            with_parameters(item.document.body, values), named(item.document.body, options["name"]), catalog, keep=True
        )
        for item in items
    ]


def _is_from(item: Item, files: set[str]) -> bool:
    """Whether a document comes from one of the files (or directories) to run, not from what is loaded beside them."""
    path = Path(item.document.file)
    return str(path) in files or any(path.is_relative_to(file) for file in files)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"-p {text!r}: a parameter is NAME=VALUE")
    return name, value


def _references(project: Project) -> dict[tuple[str, str], dict[str, str]]:
    if not (project.secrets or project.config_maps):
        return {}
    from retrain.app.secrets import ProjectSecrets

    bodies = ([i.document.body for i in project.secrets], [i.document.body for i in project.config_maps])
    known = ProjectSecrets(*bodies, os.environ)
    return {
        **{("Secret", name): values for name, values in known.secrets().items()},
        **{("ConfigMap", name): values for name, values in known.configs().items()},
    }


def _print(runs: Sequence[Run], output: str) -> None:
    from pipelines.local.foreground import to_workflow
    from retrain.cli.run_view import draw

    for one in runs:
        if output == "table":
            draw(one)
        else:
            emit(to_workflow(one), output, name=lambda workflow: workflow["metadata"]["name"], table=click.echo)
