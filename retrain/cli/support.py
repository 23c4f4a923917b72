"""`retrain support`: what somebody needs who helps from afar."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError


@click.group()
def support() -> None:
    """Gather what helps to find a fault."""


@support.command()
@click.option("--to", type=click.Path(path_type=Path), help="File [default: retrain-support-TIME.tar.gz here]")
@click.option("--with-payloads", is_flag=True, help="Events, reasons and errors too: they may hold anything")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Of a platform that is down")
@click.option(
    "--project",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --data: its manifests [default: the folder around DATA]",
)
@server_option
@output_option
def bundle(
    to: Path | None, with_payloads: bool, data: Path | None, project: Path | None, server: str | None, output: str
) -> None:
    """Write a file with versions, settings, manifests, states, checks and figures, without secrets."""
    target = to or Path(f"retrain-support-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    if target.exists():
        raise ConfigError(f"{target}: is there already; write to a new name with --to")
    if data is not None:
        content = _of_directory(data.resolve(), (project or data.resolve().parent).resolve(), payloads=with_payloads)
    else:
        content = Client(server).binary("/api/v1/support-bundle", {"withPayloads": with_payloads})
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    done = {"file": str(target), "bytes": len(content), "payloads": with_payloads}
    emit(
        done, output, name=lambda d: d["file"], table=lambda d: click.echo(f"{d['file']}  ({d['bytes'] / 1e3:.0f} kB)")
    )


def _of_directory(data: Path, project: Path, *, payloads: bool) -> bytes:
    """From the store of a platform that is down, or that does not answer."""
    import json
    from dataclasses import asdict

    from retrain.app.keeping import bundle as made
    from retrain.app.keeping.checkup_store import integrity
    from retrain.app.keeping.doctor import examine
    from retrain.app.keeping.measures import measure
    from retrain.app.projects.project import load_project
    from retrain.app.settings import load_settings
    from retrain.store.database import reading

    store = data / "store.db"
    if not store.is_file():
        raise ConfigError(f"{data}: has no store.db: it is no data directory")
    environment = dict(os.environ)
    found = [asdict(one) for one in examine(data, environment)]
    found.append(
        {"name": "store", "ok": (said := integrity(store, 10.0)) in {"ok", None}, "found": said or "ok so far"}
    )
    with reading(store) as connection:
        told = {
            "doctor.json": json.dumps(found, indent=2).encode(),
            "sizes.json": json.dumps(measure(connection), indent=2).encode(),
        }
        sources = made.Sources(load_settings(project), load_project([project]), data, environment, told, payloads)
        return made.packed(made.gather(connection, sources))
