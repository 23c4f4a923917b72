"""`retrain backup`: the platform's state as one file, looked at, and made a data directory again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, emit, output_option, table
from retrain.errors import ConfigError, Refused

if TYPE_CHECKING:
    from retrain.app.keeping.backup_files import Manifest

USUAL = ("artifacts", "volumes", "manifests")
COLUMNS: tuple[Column, ...] = (("WHAT", lambda row: row[0]), ("IT HAS", lambda row: row[1]))

without_option = click.option(
    "--without",
    multiple=True,
    type=click.Choice(["artifacts", "volumes"]),
    help="Leave this out (they lie on the local disk)",
)


@click.group()
def backup() -> None:
    """Make, check and restore back-ups of a platform's state."""
    from retrain.app.logs import set_up

    set_up(os.environ.get("RETRAIN_LOG_LEVEL", "warning"))  # the embedded bus tells of its start


@backup.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The data directory [default: .retrain]")
@click.option("--with-logs", is_flag=True, help="Take the directories of steps too, with their logs")
@without_option
@click.option("--store-only", is_flag=True, help="Leave the bus out: it is a NATS server of your own")
@server_option
@output_option
def create(target: Path, data: Path | None, server: str | None, output: str, **what: Any) -> None:
    """Write a back-up to TARGET: a new directory, or one file if its name ends in .tar or .tar.gz.

    The platform may run. With --server it makes the back-up itself and sends it here; else its data directory is read.
    """
    parts = [part for part in USUAL if part not in what["without"]] + ["runs"] * what["with_logs"]
    if data is None and server is not None:
        found = _from_server(Client(server), target, {"parts": parts, "storeOnly": what["store_only"]})
    else:
        found = _from_directory((data or Path(".retrain")).resolve(), target, tuple(parts), what["store_only"])
    _show(found, target, output)


@backup.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--whole", is_flag=True, help="Restore it into a directory that is thrown away, with the bus")
@output_option
def verify(source: Path, whole: bool, output: str) -> None:
    """Check that a back-up is whole: every checksum, the store's pages, and whether its parts fit."""
    import anyio

    from retrain.app.keeping.restore import rehearse
    from retrain.app.keeping.restore import verify as look

    _show(anyio.run(rehearse, source) if whole else look(source), source, output)


@backup.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A new or empty directory")
@output_option
def restore(source: Path, data: Path, output: str) -> None:
    """Make a data directory of a back-up; `retrain up DIR --data DATA` goes on from there."""
    import anyio

    from retrain.app.keeping.restore import restore as make

    manifest = anyio.run(make, source, data.resolve())
    _show(manifest, source, output)
    if output == "table":
        click.echo(f"restored into {data}; go on with: retrain up DIR --data {data}", err=True)


def _from_directory(data: Path, target: Path, parts: tuple[str, ...], store_only: bool) -> Manifest:
    import anyio

    from retrain.app.keeping.backup import STORE, Wanted, snapshot_of, take
    from retrain.app.keeping.backup_files import opened

    if not (data / STORE).is_file():
        raise ConfigError(
            f"{data}: has no {STORE}: name the platform's data directory with --data, or its URL with --server"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f".{target.name}.work")

    async def make() -> Manifest:
        with opened(target) as sink:
            if store_only:
                return await take(Wanted(data, None, parts), sink, work)
            async with snapshot_of(data) as snapshot:
                return await take(Wanted(data, snapshot, parts), sink, work)

    return anyio.run(make)


def _from_server(client: Client, target: Path, asks: dict[str, Any]) -> Manifest:
    from retrain.app.keeping.backup_files import is_tar, remove
    from retrain.app.keeping.restore import verify as look

    if not is_tar(target):
        raise ConfigError(f"{target}: with --server the back-up comes as one file: end its name in .tar or .tar.gz")
    if target.exists():
        raise ConfigError(f"{target}: is there already; a back-up is written to a new name")
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            part.chmod(0o600)
            client.save_answer("/api/v1/backup", {**asks, "packed": not target.name.endswith(".tar")}, file)
        try:
            manifest = look(part)  # what came over the network counts when it is whole
        except ConfigError as error:
            raise Refused(f"what {client.url} has sent is no whole back-up: {error}") from error
        part.rename(target)
        return manifest
    finally:
        remove(part)


def _show(manifest: Manifest, where: Path, output: str) -> None:
    shape = {**manifest.model_dump(), "target": str(where)}
    emit(shape, output, name=lambda m: m["target"], table=lambda m: table(COLUMNS, _rows(m), empty=""))


def _rows(m: dict[str, Any]) -> list[tuple[str, str]]:
    log, counts = m["log"], m["counts"]
    total = sum(one["bytes"] for one in m["files"])
    return [
        ("made", m["created"]),
        ("of", f"{m['data']} (Retrain {m['retrain']}, schema {m['schema_revision']})"),
        ("store", ", ".join(f"{many} {name}" for name, many in counts.items()) + f"; read up to {m['read']}"),
        ("bus", f"{log['stream']}: {log['first']} to {log['last']}" if log else "left out"),
        ("parts", ", ".join(m["parts"])),
        ("files", f"{len(m['files'])}, {total / 1e6:.1f} MB"),
    ]
