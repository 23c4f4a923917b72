"""`retrain sensors`: what decides, what it waits for, and why it did or did not fire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrain.cli.client import Client, list_options, quoted, server_option
from retrain.cli.output import Column, age, emit, more, output_option, plain, table
from retrain.cli.sensor_graph import graph
from retrain.cli.sensor_trials import replay, test
from retrain.errors import ConfigError

COLUMNS: tuple[Column, ...] = (
    ("SENSOR", lambda s: s["name"]),
    ("DEPENDENCIES", lambda s: ", ".join(s["dependencies"])),
    ("TRIGGERS", lambda s: ", ".join(s["triggers"])),
    ("MODE", lambda s: "behind" if s["behind"] else s["mode"]),
    ("OPEN", lambda s: s["open"]),
    ("HELD", lambda s: s["held"]),
    ("FILE", lambda s: s["file"]),
)
DECISIONS: tuple[Column, ...] = (
    ("AGE", lambda d: age(d["time"])),
    ("DEPENDENCY", lambda d: d["dependency"] or (f"trigger {d['trigger']}" if d["trigger"] else None)),
    ("KEY", lambda d: d["key"]),
    ("OUTCOME", lambda d: d["outcome"]),
    ("REASON", lambda d: d["reason"]),
    ("EVENT", lambda d: d.get("eventId") or d["event"]),
)
ASIDE: tuple[Column, ...] = (
    ("SET ASIDE", lambda r: r["name"]),
    ("SINCE", lambda r: age(r["since"])),
    ("REMOVED", lambda r: "whole" if r["removed"] else "parts"),
    ("CELLS", lambda r: ", ".join(f"{part}: {n}" for part, n in r["cells"].items())),
)
OUTCOMES: tuple[Column, ...] = (
    ("EVENT", lambda e: e["id"]),
    ("DEPENDENCY", lambda e: e["dependency"]),
    ("OUTCOME", lambda e: e["outcome"]),
    ("REASON", lambda e: e["reason"]),
)


KEYS_OF_A_PAGE = 1000


@click.group()
def sensors() -> None:
    """Show sensors and explain their decisions."""


sensors.add_command(test)
sensors.add_command(replay)
sensors.add_command(graph)


@sensors.command("list")
@server_option
@output_option
def list_(server: str | None, output: str) -> None:
    """List the sensors of the platform."""
    client = Client(server)
    emit(client.every("/api/v1/sensors"), output, name=lambda s: s["name"], table=_list)
    if output == "table" and (aside := client.every("/api/v1/removed")["items"]):
        click.echo()
        table(ASIDE, aside, empty="")


@sensors.command(short_help="Show what a sensor waits for and has decided.")
@click.argument("name")
@click.option("--outcome", help="Only decisions with this outcome, such as filtered or expired")
@click.option("--trigger", help="Only decisions about what this trigger waits for")
@click.option("--key", help="Only decisions about this key")
@list_options
@server_option
@output_option
def show(name: str, server: str | None, output: str, **words: Any) -> None:
    """Show one sensor: what it waits for, and its newest decisions with their reasons."""
    found = Client(server).get(f"/api/v1/sensors/{quoted(name)}", **words)
    emit(found, output, name=lambda s: s["name"], table=_show)
    if output == "table":
        more(found)


@sensors.command(short_help="Show what a sensor makes of events.")
@click.argument("file", metavar="FILE|NAME")
@click.option(
    "--event",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="A CloudEvent, a list of them, or one a line; may be given again",
)
@click.option("--name", help="Which sensor, where FILE holds several")
@server_option
@output_option
def explain(file: str, files: tuple[Path, ...], name: str | None, server: str | None, output: str) -> None:
    """Show what the sensor in FILE makes of events, without a platform: what passes, what fires, what it waits for.

    Without --event: show everything that the sensor NAME waits for on the running platform.
    """
    if not files:
        emit(_all_keys(Client(server), file), output, name=lambda s: s["name"], table=_show)
        return
    from retrain.app.sensing.explaining import explain_file

    if not Path(file).is_file():
        raise ConfigError(f"{file}: there is no such file")
    texts = {str(one): click.open_file(str(one), "rb").read() for one in files}
    emit(explain_file(Path(file), texts, name), output, name=lambda e: e["sensor"], table=_explain)


def _all_keys(client: Client, name: str) -> dict[str, Any]:
    """A sensor with all that it waits for, from every page."""
    path = f"/api/v1/sensors/{quoted(name)}"
    found = page = client.get(path, limit=KEYS_OF_A_PAGE)
    while page["next"]:
        page = client.get(path, limit=KEYS_OF_A_PAGE, cursor=page["next"])
        for part in ("waiting", "silences"):
            found[part] += page[part]
    return {**found, "next": None}


def _list(page: dict[str, Any]) -> None:
    table(COLUMNS, page["items"], empty="this project has no sensors")


def _show(found: dict[str, Any]) -> None:
    mode = "" if found.get("mode", "active") == "active" else f"  {found['mode']}"
    click.echo(f"{found['name']}  ({found['file']}:{found['line']}){mode}")
    _waiting(found["waiting"])
    for one in found["silences"]:
        key = f" [{plain(one['key'])}]" if one["key"] else ""
        then = f"told at {_second(one['due'])}" if one["due"] else "told already"
        click.echo(f"hears {one['dependency']}{key}: nothing since {_second(one['since'])}, {then}")
    for lane in found["lanes"]:
        running = ", ".join(one["firing"] for one in lane["active"]) or "nothing"
        spent = f"; its runs spent {lane['spent']:g}" if lane["spent"] else ""
        click.echo(f"limits {lane['trigger']}: active {running}; held {lane['held']}{spent}")
    for one in found["limits"]:
        _limit(one)
    table(DECISIONS, found["decisions"], empty="it has decided nothing yet", prose=True)


def _limit(one: dict[str, Any]) -> None:
    of = f": {one['used'] or 0:g} of {one['limit']:g} {one['unit']}" if one["limit"] is not None else ""
    reserved = f", {one['reserved']:g} reserved" if one["reserved"] else ""
    per = f" in {one['per']}" if one["per"] and of else f" {one['per']}" if one["per"] else ""
    full = f"; full until {_second(one['until'])}" if one["until"] else "; full" if one["full"] else ""
    key = f" [{plain(one['key'])}]" if one["key"] else ""
    click.echo(f"{one['kind']} {one['trigger']}{key}{of}{per}{reserved}{full}")


def _second(text: str | None) -> str:
    """A time without what is less than a second."""
    return "-" if text is None else text.partition(".")[0].removesuffix("Z") + "Z"


def _explain(found: dict[str, Any]) -> None:
    click.echo(f"sensor {found['sensor']}")
    table(OUTCOMES, found["events"], empty="none of these events concerns it", prose=True)
    for firing in found["firings"]:
        word = f"ERROR {plain(firing['error'])}" if firing.get("error") else f"with {', '.join(firing['events'])}"
        click.echo(f"fires {firing['trigger']} {word}")
    _waiting(found["waiting"])


def _waiting(waiting: list[dict[str, Any]]) -> None:
    for one in waiting:
        have = ", ".join(one["have"]) or "nothing"
        key = f" [{plain(one['key'])}]" if one.get("key") else ""
        until = f", until {_second(one['until'])}" if one.get("until") else ""
        if held := one.get("held"):
            for match in held:
                _held(one["trigger"] + key, match, until)
            continue
        need = f", needs {', '.join(one['need'])}" if one["need"] else ""
        progress = f", {one['progress']}" if one.get("progress") else ""
        click.echo(f"waits {one['trigger'] or 'window of'}{key}: has {have}{need}{progress}{until}")


def _held(whose: str, match: dict[str, Any], until: str) -> None:
    click.echo(f"holds {whose}: {match['firing']}, {plain(match['reason'])}{until}")
    if match.get("asks"):
        click.echo(f"      it asks: retrain firings approve {match['firing']}, or reject")
