"""`retrain migrate`: what becomes of another system's objects, before anything is changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError

if TYPE_CHECKING:
    from retrain.app.migrating.report import Gathered


@click.group()
def migrate() -> None:
    """Tell what becomes of objects that another system runs today."""


@migrate.command("argo-events")
@click.argument("paths", metavar="[PATH...]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--cluster", is_flag=True, help="Ask the cluster of the kubeconfig instead of reading files")
@click.option("-n", "--namespace", help="With --cluster: this one [the kubeconfig's]")
@click.option("-A", "--all-namespaces", is_flag=True, help="With --cluster: all that there are")
@click.option(
    "--kubeconfig", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Instead of the user's"
)
@output_option
def argo_events(
    paths: tuple[Path, ...],
    cluster: bool,
    namespace: str | None,
    all_namespaces: bool,
    kubeconfig: Path | None,
    output: str,
) -> int:
    """Say of each EventSource, Sensor and EventBus what becomes of it here

    Reads manifests, or a cluster where Argo Events runs; changes nothing. An object `works as is`, `works better` (Argo
    Events loses events or crashes there), `differs` (in what is said), or is `refused` (with the reason). Then: what
    runs there and will not be needed any more, and what to do in which order. Exits with 1 if anything is refused.
    """
    if bool(paths) == cluster:
        raise ConfigError("give PATHs to read, or --cluster to ask the cluster" + (", not both" if paths else ""))
    if not cluster and (namespace or all_namespaces or kubeconfig):
        raise ConfigError("--namespace, --all-namespaces and --kubeconfig belong to --cluster")
    if namespace and all_namespaces:
        raise ConfigError("--namespace and --all-namespaces exclude each other")
    from retrain.app.migrating.report import report  # here, so that `--help` starts without the models
    from retrain.cli.migrate_text import draw

    made = report(_of_cluster(kubeconfig, namespace, everywhere=all_namespaces) if cluster else _of_paths(paths))
    if output == "table":
        draw(made)
    elif output == "name":
        for one in made.objects:
            click.echo(f"{one.kind}/{one.name}")
    else:
        emit(made.to_json(), output, name=str, table=click.echo)
    return 1 if made.refused else 0


def _of_paths(paths: tuple[Path, ...]) -> Gathered:
    from retrain.app.migrating.reading import of_paths

    return of_paths(paths)


def _of_cluster(kubeconfig: Path | None, namespace: str | None, *, everywhere: bool) -> Gathered:
    import anyio

    from retrain.app.migrating.reading import of_cluster

    text = kubeconfig.read_text() if kubeconfig else ""

    async def ask() -> Gathered:
        return await of_cluster(text, namespace, everywhere=everywhere)

    return anyio.run(ask)
