"""`retrain overview` and `retrain find`: the platform at a glance, and whatever has a name on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, age, emit, output_option, table

FLOW: tuple[Column, ...] = (("LAST DAY", lambda r: r[0]), ("COUNT", lambda r: r[1]), ("BY STATE", lambda r: r[2]))
WAITS: tuple[Column, ...] = (
    ("WAITS FOR A PERSON", lambda r: r[0]),
    ("SINCE", lambda r: age(r[1])),
    ("WHY", lambda r: r[2]),
)
BROKEN: tuple[Column, ...] = (("BROKEN", lambda r: r[0]), ("SINCE", lambda r: age(r[1])), ("WHY", lambda r: r[2]))
FOUND: tuple[Column, ...] = (("KIND", lambda r: r["kind"]), ("ID", lambda r: r["id"]), ("WHAT", lambda r: r["summary"]))

Row = tuple[str, Any, Any]


@click.command()
@server_option
@output_option
def overview(server: str | None, output: str) -> None:
    """Show the last day, what waits for a person, what is broken and since when, and what is live."""
    emit(Client(server).get("/api/v1/overview"), output, name=lambda _: "overview", table=_draw)


@click.command()
@click.argument("text")
@server_option
@output_option
def find(text: str, server: str | None, output: str) -> int:
    """Find any id, key, object, commit, digest or name. Exit 1 where there is none."""
    found = Client(server).get("/api/v1/find", q=text)
    nothing = "nothing has this id, key, commit or name, or begins with it"
    emit(found, output, name=lambda one: one["id"], table=lambda page: table(FOUND, page["items"], empty=nothing))
    return 0 if found["items"] else 1


def _draw(found: dict[str, Any]) -> None:
    from retrain.cli.models import COLUMNS

    table(FLOW, list(_flow(found["flow"], found["capped"])), empty="")
    click.echo()
    table(WAITS, list(_waits(found["waiting"])), empty="nothing waits for a person")
    click.echo()
    table(BROKEN, list(_broken(found["broken"])), empty="nothing is broken")
    click.echo()
    live = [{**one, "live": one["live"] or {}} for one in found["live"]]
    table(COLUMNS, live, empty="no model has been promoted yet")


def _flow(flow: dict[str, Any], capped: int) -> Iterator[Row]:
    decided = flow["decisions"]
    yield "events", flow["events"], ""
    yield "decisions", decided["count"], _counts(decided["outcomes"])
    for name in ("firings", "runs", "promotions"):
        more = "+" if any(count >= capped for count in flow[name].values()) else ""
        yield name, f"{sum(flow[name].values())}{more}", _counts(flow[name])


def _counts(counts: dict[str, int]) -> str:
    return " ".join(f"{word}:{count}" for word, count in counts.items())


def _waits(waiting: dict[str, Any]) -> Iterator[Row]:
    for one in waiting["promotions"]:
        yield f"promotion {one['id']}: {one['name']} to {one['environment']}", one["since"], one["reason"]
    for one in waiting["runs"]:
        yield f"run {one['name']}", one["since"], "suspended"
    for one in waiting["firings"]:
        yield f"firing {one['firing']}", one["since"], one["reason"]


def _broken(broken: dict[str, Any]) -> Iterator[Row]:
    for one in broken["parts"]:
        yield one["name"], one["since"], one["waitingFor"]
    for one in broken["workflows"]:
        yield f"workflow {one['workflow']}", one["since"], f"{one['phase']} {one['times']} times: {one['message']}"
    for one in broken["promotions"]:
        yield f"promotion {one['id']}", one["since"], f"{one['state']}: {one['reason']}"
    for one in broken["sensors"]:
        yield f"sensor {one['sensor']}", one["since"], f"{one['times']} errors: {one['reason']}"
    if letters := broken["deadletters"]["count"]:
        yield f"{letters} dead letters", broken["deadletters"]["since"], "nobody has redriven them"
