"""Which runs of a platform a command means: by name, the newest, or all that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from retrain.cli.client import Client, quoted
from retrain.errors import ConfigError

LATEST = "@latest"
PAGE = 500


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of lists and of commands that act on many runs."""
    for option in reversed(
        (
            click.option(
                "-l", "--selector", "labels", metavar="LABELS", help="Only runs with these labels: a=b,c!=d,e"
            ),
            click.option("--phase", "--status", "phase", metavar="PHASE,...", help="Only runs in one of these phases"),
            click.option("--prefix", help="Only runs whose name begins with this"),
            click.option("--since", metavar="AGE|TIME", help="Only runs made since then: 90s, 2h, 3d, 2026-11-20"),
            click.option("--older", metavar="AGE|TIME", help="Only runs that ended before then"),
            click.option("--running", is_flag=True, help="Only runs that are not over"),
            click.option("--completed", is_flag=True, help="Only runs that are over"),
        )
    ):
        command = option(command)
    return command


WORDS = ("labels", "phase", "prefix", "since", "older", "running", "completed")


def words_of(given: dict[str, Any]) -> dict[str, Any]:
    """What of the options is said, as the query of a list."""
    found = {name: given.get(name) for name in WORDS}
    return {name: "true" if value is True else value for name, value in found.items() if value}


def path_of(name: str, *rest: str) -> str:
    """The path of a run."""
    return "/".join(["/api/v1/runs", quoted(name), *(quoted(part) for part in rest)])


def get_run(client: Client, name: str) -> dict[str, Any]:
    """A run by its name or id, or the newest."""
    return client.get(path_of(name))


def id_of(run: dict[str, Any]) -> str:
    """The word by which the same run is found again: on a cluster its object has a uid of its own."""
    metadata: dict[str, Any] = run["metadata"]
    labels: dict[str, str] = metadata.get("labels") or {}
    return str(labels.get("retrain.dev/run") or metadata.get("uid") or metadata["name"])


def find(client: Client, words: dict[str, Any], most: int | None = None) -> Iterator[dict[str, Any]]:
    """All runs that fit, newest first, page by page."""
    cursor: str | None = None
    while True:
        page = client.get("/api/v1/runs", limit=min(PAGE, most or PAGE), cursor=cursor, **words)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def meant(client: Client, names: Sequence[str], given: dict[str, Any]) -> list[str]:
    """The runs that a command is about: those named, or those that fit its options.

    Raises:
        ConfigError: nothing is said, or both.
    """
    words = words_of(given)
    if names and words:
        raise ConfigError("say names or options that select runs, not both")
    if names:
        return list(names)
    if not words:
        raise ConfigError(f"which run? say a name, {LATEST}, or options such as -l app=digits")
    return [id_of(run) for run in find(client, words)]
