"""`retrain up`: the platform on a project's manifests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError

if TYPE_CHECKING:
    from retrain.app.operator.operator import Watch
    from retrain.app.settings import Settings

ROLES = ("sources", "sensors", "runner", "web")


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="State [default: .retrain in DIR]")
@click.option("--host", help="Address to listen on [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one [default: 7300]")
@click.option("--roles", default=",".join(ROLES), show_default=True, help="Which parts this process plays")
@click.option(
    "--kubernetes", is_flag=True, help="Take the manifests from a cluster's objects, and tell them how they fare"
)
@click.option(
    "-n", "--namespace", help="With --kubernetes: the namespace [default: that of the kubeconfig, or of this pod]"
)
@click.option("-A", "--all-namespaces", is_flag=True, help="With --kubernetes: all namespaces")
@output_option
def up(
    folder: Path, data: Path | None, host: str | None, port: int | None, roles: str, output: str, **cluster: Any
) -> int:
    """Run the platform on the manifests in DIR, with its state beside them, until interrupted."""
    import gc
    import os

    # What is loaded stays, so nobody need look through it while there is more and more: `serve` lets that go on.
    gc.disable()
    from retrain import faults
    from retrain.app.logs import set_up
    from retrain.app.platform import Start, serve
    from retrain.app.settings import load_settings

    set_up(os.environ.get("RETRAIN_LOG_LEVEL", "info"))
    faults.arm(os.environ.get("RETRAIN_FAULT"))
    settings = load_settings(folder)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=given)})
    watch = _watch(settings, **cluster)
    if watch is not None:
        settings = _on_cluster(settings, watch)
    start = Start(
        project=folder.resolve(),
        data=(data or folder / ".retrain").resolve(),
        roles=_roles(roles),
        settings=settings,
        watch=watch,
    )

    def ready(url: str) -> None:
        said = f"Retrain is up at {url}  (state in {start.data}; Ctrl-C stops it)"
        address = {"url": url, "pid": os.getpid(), "data": str(start.data)}
        emit(address, output, name=lambda a: a["url"], table=lambda _: click.echo(said))

    return serve(start, ready)


def _watch(settings: Settings, *, kubernetes: bool, namespace: str | None, all_namespaces: bool) -> Watch | None:
    if not kubernetes:
        if namespace is not None or all_namespaces:
            raise ConfigError("--namespace and --all-namespaces say what --kubernetes watches; add that, or leave them")
        return None
    if namespace is not None and all_namespaces:
        raise ConfigError("write --namespace or --all-namespaces, not both")
    from retrain.app.operator.operator import Watch

    if all_namespaces:
        return Watch("")
    return Watch(namespace or settings.kubernetes.namespace or _own_namespace(settings))


def _own_namespace(settings: Settings) -> str:
    import anyio

    from retrain.app.kubernetes.part import own_namespace

    return anyio.run(own_namespace, settings.kubernetes)


def _on_cluster(settings: Settings, watch: Watch) -> Settings:
    """What is meant where the settings do not say it: runs go to the cluster, into the namespace that is watched."""
    pipelines, kubernetes = settings.pipelines, settings.kubernetes
    if "engine" not in pipelines.model_fields_set:
        pipelines = pipelines.model_copy(update={"engine": "argo"})
    if kubernetes.namespace is None and watch.namespace:
        kubernetes = kubernetes.model_copy(update={"namespace": watch.namespace})
    return settings.model_copy(update={"pipelines": pipelines, "kubernetes": kubernetes})


def _roles(text: str) -> frozenset[str]:
    roles = frozenset(word.strip() for word in text.split(",") if word.strip())
    unknown = sorted(roles - set(ROLES))
    if unknown or not roles:
        raise ConfigError(
            f"--roles {text!r}: there are {', '.join(ROLES)}" + "".join(f", not {one}" for one in unknown)
        )
    return roles
