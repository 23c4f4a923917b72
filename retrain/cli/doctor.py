"""`retrain doctor`: what this machine has and lacks, or what is right and wrong with a running platform."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli.output import Column, emit, output_option, table

if TYPE_CHECKING:
    from retrain.app.keeping.checks import Checked
    from retrain.cli.client import Client

COLUMNS: tuple[Column, ...] = (
    ("", lambda c: "ok" if c["ok"] else ("MISSING" if c["needed"] else "lacks")),
    ("WHAT", lambda c: c["name"]),
    ("FOUND", lambda c: c["found"]),
    ("WITHOUT IT", lambda c: "" if c["ok"] else c["without"]),
)
OF_A_PLATFORM: tuple[Column, ...] = (
    ("", lambda c: c["status"].upper() if c["status"] == "fail" else c["status"]),
    ("WHAT", lambda c: c["name"]),
    ("FOUND", lambda c: c["found"]),
    ("WHICH MEANS", lambda c: c["means"]),
    ("WHAT TO DO", lambda c: c["do"]),
)
BESIDE = ""
"""What --server is without a URL: the platform that the other commands talk to as well."""


@click.command()
@click.option("--data", default=".retrain", type=click.Path(path_type=Path), help="The data directory to look at")
@click.option(
    "--server",
    is_flag=False,
    flag_value=BESIDE,
    metavar="[URL]",
    help="Ask a running platform [URL: RETRAIN_SERVER, or that of the project in this folder]",
)
@output_option
def doctor(data: Path, server: str | None, output: str) -> int:
    """Show what this machine has and lacks, and what a lack disables; with --server how a running platform is."""
    if server is not None:
        return _of_platform(server or os.environ.get("RETRAIN_SERVER"), output)
    from retrain.app.keeping.doctor import examine
    from retrain.cli import COMMANDS

    of_options = tuple(f"RETRAIN_{name.upper()}_" for name in COMMANDS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(of_options)}
    checks = [asdict(one) for one in examine(data.resolve(), environment)]
    emit(
        {"items": checks, "next": None},
        output,
        name=lambda c: c["name"],
        table=lambda p: table(COLUMNS, p["items"], empty="", prose=True),
    )
    return 0 if all(one["ok"] for one in checks if one["needed"]) else 1


def _of_platform(server: str | None, output: str) -> int:
    from retrain.cli.client import Client

    client = Client(server)
    theirs = client.get("/api/v1/checks")["items"]
    checks = [*(one.to_json() for one in _between(client)), *theirs]
    emit(
        {"server": client.url, "items": checks, "next": None},
        output,
        name=lambda c: c["name"],
        table=lambda p: table(OF_A_PLATFORM, p["items"], empty="", prose=True),
    )
    return 1 if any(one["status"] == "fail" for one in checks) else 0


def _between(client: Client) -> list[Checked]:
    """What only both sides together can tell: versions and clocks."""
    from datetime import UTC, datetime

    from retrain import __version__
    from retrain.app.keeping import checks

    health: dict[str, Any]
    health, said, took = client.get_at("/api/v1/health")
    found = [checks.versions(__version__, health["versions"]["retrain"])]
    if said is not None:
        # The header has whole seconds, and was written on the way.
        found.append(checks.skew((said - datetime.now(UTC)).total_seconds(), took + 1.0))
    return found
