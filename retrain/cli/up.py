"""`retrain up`: the platform on a project's manifests."""

from __future__ import annotations

from pathlib import Path

import click

from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError

ROLES = ("sources", "sensors", "runner", "web")


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="State [default: .retrain in DIR]")
@click.option("--host", help="Address to listen on [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one [default: 7300]")
@click.option("--roles", default=",".join(ROLES), show_default=True, help="Which parts this process plays")
@output_option
def up(folder: Path, data: Path | None, host: str | None, port: int | None, roles: str, output: str) -> int:
    """Run the platform on the manifests in DIR, with its state beside them, until interrupted."""
    import os

    from retrain import faults
    from retrain.app.logs import set_up
    from retrain.app.platform import Start, serve
    from retrain.app.settings import load_settings

    set_up(os.environ.get("RETRAIN_LOG_LEVEL", "info"))
    faults.arm(os.environ.get("RETRAIN_FAULT"))
    settings = load_settings(folder)
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=given)})
    start = Start(
        project=folder.resolve(),
        data=(data or folder / ".retrain").resolve(),
        roles=_roles(roles),
        settings=settings,
    )

    def ready(url: str) -> None:
        said = f"Retrain is up at {url}  (state in {start.data}; Ctrl-C stops it)"
        address = {"url": url, "pid": os.getpid(), "data": str(start.data)}
        emit(address, output, name=lambda a: a["url"], table=lambda _: click.echo(said))

    return serve(start, ready)


def _roles(text: str) -> frozenset[str]:
    roles = frozenset(word.strip() for word in text.split(",") if word.strip())
    unknown = sorted(roles - set(ROLES))
    if unknown or not roles:
        raise ConfigError(
            f"--roles {text!r}: there are {', '.join(ROLES)}" + "".join(f", not {one}" for one in unknown)
        )
    return roles
