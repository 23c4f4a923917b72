"""`retrain sensors test` and `replay`: what a sensor would do, on events that were written down or that really came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrain.cli.client import Client, server_option
from retrain.cli.output import Column, emit, output_option, plain, table

if TYPE_CHECKING:
    from retrain.app.sensing.testing import Suite

FIRINGS: tuple[Column, ...] = (
    ("AT", lambda f: f["at"]),
    ("TRIGGER", lambda f: f["trigger"]),
    ("KEY", lambda f: f["key"]),
    ("EVENTS", lambda f: _events(f["events"])),
    ("ERROR", lambda f: f["error"]),
)
CHANGES: tuple[Column, ...] = (
    ("", lambda f: f["sign"]),
    *FIRINGS[:-1],
)
MOST_EVENTS = 5


@click.command(short_help="Run the cases beside sensors.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here, as JUnit XML")
@output_option
@click.pass_context
def test(context: click.Context, paths: tuple[Path, ...], junit: Path | None, output: str) -> None:
    """Run the cases beside sensors: NAME.test.yaml for NAME.yaml, in files or directories

    Needs no platform. Exits with 1 if a case is not green, with 2 if a file is wrong.
    """
    from retrain.app.sensing.testing import run_tests, to_json

    suites: list[Suite] = []
    for suite in run_tests(paths):
        suites.append(suite)
        if output == "table":
            _say(suite)
    if junit is not None:
        from retrain.app.sensing.junit import write_junit

        write_junit(suites, junit)
    failed = sum(suite.failed for suite in suites)
    if output == "table":
        passed = sum(len(suite.results) for suite in suites) - failed
        click.echo(f"{passed} passed, {failed} failed", err=True)
    else:
        emit(to_json(suites), output, name=lambda item: f"{item['file']}:{item['line']}", table=click.echo)
    context.exit(1 if failed else 0)


def _say(suite: Suite) -> None:
    click.echo(f"{suite.file}: sensor {suite.sensor}")
    for one in suite.results:
        click.echo(
            f"  {'FAILED' if one.wrong else 'ok    '} {one.name}" + (f"  (line {one.line})" if one.wrong else "")
        )
        for line in one.wrong:
            click.echo(f"         {line}")


@click.command(short_help="Run a sensor over the recorded log, and do nothing.")
@click.argument("what", metavar="NAME|FILE")
@click.option("--name", help="Which sensor, where FILE holds several")
@click.option("--from", "since", help="A day or an RFC 3339 time; from the beginning of the log if left out")
@click.option("--to", "until", help="A day or an RFC 3339 time; up to now if left out")
@click.option("--diff", metavar="NAME", help="Show which firings change against the running sensor of this name")
@click.option("--limit", type=click.IntRange(min=1), help="Events of the log at most, the newest of them")
@server_option
@output_option
def replay(  # noqa: PLR0913 - one for each option
    what: str,
    name: str | None,
    since: str | None,
    until: str | None,
    diff: str | None,
    limit: int | None,
    server: str | None,
    output: str,
) -> None:
    """Run a sensor over the recorded log, and show what it would have done

    NAME is a sensor of the platform, FILE one that is tried before it goes live. Nothing is done, nothing is written.
    """
    file = Path(what)
    body: dict[str, Any] = {"manifest": file.read_text()} if file.is_file() else {"sensor": what}
    options = {"name": name, "from": since, "to": until, "diff": diff}
    options["limit"] = None if limit is None else str(limit)
    body |= {option: value for option, value in options.items() if value is not None}
    found = Client(server).post("/api/v1/sensors/replay", body)
    emit(found, output, name=lambda answer: answer["sensor"], table=_show)


def _show(found: dict[str, Any]) -> None:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in found["outcomes"].items())
    click.echo(
        f"sensor {found['sensor']}: {found['events']} events in {found['tookSeconds']} s: {outcomes or 'nothing'}"
    )
    if left := found["log"]["left"]:
        click.echo(f"({left} older events of the log were left out)", err=True)
    if (diff := found.get("diff")) is not None:
        _show_difference(diff)
        return
    table(FIRINGS, found["firings"], empty="it would not have fired")
    if found["count"] > len(found["firings"]):
        click.echo(f"({found['count']} firings in all)", err=True)
    _waiting(found["waiting"])
    if found["assumed"]:
        click.echo(f"({found['assumed']} firings were never made: their runs are taken to last as long as others did)")


def _show_difference(diff: dict[str, Any]) -> None:
    counts = diff["counts"]
    click.echo(
        f"against {diff['with']}: {counts['added']} added, {counts['removed']} removed, {counts['moved']} moved, "
        f"{diff['same']} the same"
    )
    rows = [{"sign": "+", **one} for one in diff["added"]]
    rows += [{"sign": "-", **one} for one in diff["removed"]]
    for one in diff["moved"]:
        rows += [{"sign": "<", **one["from"]}, {"sign": ">", **one["to"]}]
    rows.sort(key=lambda row: row["at"])
    table(CHANGES, rows, empty="nothing changes")


def _waiting(waiting: list[dict[str, Any]]) -> None:
    for one in waiting:
        key = f" {plain(one['key'])}" if one["key"] else ""
        if not one["need"]:
            click.echo(f"holds {one['trigger']}{key}: {', '.join(one['have'])} would wait for its turn still")
            continue
        click.echo(f"waits {one['trigger']}{key}: has {', '.join(one['have'])}, needs {', '.join(one['need'])}")


def _events(ids: list[str]) -> str:
    more = f" and {len(ids) - MOST_EVENTS} more" if len(ids) > MOST_EVENTS else ""
    return ", ".join(ids[:MOST_EVENTS]) + more
