"""`retrain events again` and `case`: an event once more, to act on or to test with."""

from __future__ import annotations

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import emit, output_option


@click.command(short_help="Emit an event once more, as a new one.")
@click.argument("event_id")
@click.option("--reason", default="", help="Why; it goes on record")
@click.option("--actor", envvar="USER", default="cli", show_default="$USER", help="Who; it goes on record")
@server_option
@output_option
def again(event_id: str, reason: str, actor: str, server: str | None, output: str) -> None:
    """Emit an event once more: the same data and time, with an id of its own, so that sensors act on it anew.

    EVENT_ID is an id or a key. The new event names the old one as `retrainreplayof`.
    """
    said = Client(server).post("/api/v1/event/again", {"id": event_id, "reason": reason, "actor": actor})
    emit(said, output, name=lambda one: one["id"], table=lambda one: click.echo(f"{one['id']}, again {one['of']}"))


@click.command(short_help="Write an event as a case of `sensors test`.")
@click.argument("event_id")
@click.option(
    "--sensor", required=True, help="Whose case it is: what this sensor makes of the event is what is expected"
)
@server_option
def case(event_id: str, sensor: str, server: str | None) -> None:
    """Write an event as a file of cases, to be saved beside the sensor as NAME.test.yaml

    It holds the event, those that it met, and what the sensor makes of them when it begins with nothing.
    """
    for line in Client(server).lines("/api/v1/event/case", accept="text/yaml", id=event_id, sensor=sensor):
        click.echo(line.rstrip("\n"))
