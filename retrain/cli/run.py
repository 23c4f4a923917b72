"""`retrain run`: workflows here and now, in the foreground, without a platform."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.engine import Run
    from pipelines.executor import Limits
    from pipelines.leaf import Surroundings
    from pipelines.local import LocalRun
    from retrain.app.project import Project


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="Set a workflow parameter")
@click.option("--with", "beside", multiple=True, type=click.Path(), help="Templates, ConfigMaps and Secrets to load")
@click.option("--name", help="The run's name, instead of the manifest's")
@click.option("--project", type=click.Path(path_type=Path), help="$RETRAIN_PROJECT of the steps [default: here]")
@click.option("--engine", type=click.Choice(["local", "argo"]), default="local", help="What runs it")
@click.option("--jobs", type=click.IntRange(1), help="Steps at once [default: twice the cores]")
@click.option("--grace", type=click.FloatRange(0), default=30.0, help="Seconds from SIGTERM to SIGKILL")
@click.option("--keep", is_flag=True, help="Keep the directories of the steps, with their logs")
@output_option
@click.pass_context
def run(context: click.Context, output: str, **options: Any) -> None:
    """Run the workflows in files

    Each Workflow in each file, one after the other, as processes of this machine. `-o json` prints the Workflow object
    with Argo's status. Exits with 0 if all succeeded, 1 if one did not, 2 if something cannot be run.
    """
    if options["engine"] == "argo":
        raise ConfigError("--engine argo is not built yet; leave it out to run the workflow locally")
    wanted = _wanted(options)
    with tempfile.TemporaryDirectory(prefix="retrain-run-", delete=not options["keep"]) as data:
        pass
    context.exit(0)
