"""`retrain doctor`: what this machine has and lacks."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from retrain.cli.output import Column, emit, output_option, table

COLUMNS: tuple[Column, ...] = (
    ("", lambda c: "ok" if c["ok"] else ("MISSING" if c["needed"] else "lacks")),
    ("WHAT", lambda c: c["name"]),
    ("FOUND", lambda c: c["found"]),
    ("WITHOUT IT", lambda c: "" if c["ok"] else c["without"]),
)


@click.command()
@click.option("--data", default=".retrain", type=click.Path(path_type=Path), help="The data directory to look at")
@output_option
def doctor(data: Path, output: str) -> int:
    """Show what this machine has and lacks, and what a lack disables."""
    from retrain.app.doctor import examine
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
