"""The `retrain` command: one file for each noun, loaded when it is used.

stdout is data, stderr is everything else. Exit: 0 done, 1 the answer is no, 2 wrong input, 3 a bug, 4 cannot reach the
platform, 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import Any

import click

from retrain import __version__
from retrain.errors import ConfigError, RetrainError, Transient

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("retrain.cli.up:up", "Run the platform on a project's manifests"),
    "init": ("retrain.cli.init:init", "Write a small working project"),
    "lint": ("retrain.cli.lint:lint", "Check manifests without running anything"),
    "migrate": ("retrain.cli.migrate:migrate", "Tell what becomes of what Argo Events runs today"),
    "run": ("retrain.cli.run:run", "Run a workflow here and now, without a platform"),
    "doctor": ("retrain.cli.doctor:doctor", "Show what this machine, or a running platform, lacks"),
    "overview": ("retrain.cli.overview:overview", "Show the last day, what waits, what is broken, what is live"),
    "find": ("retrain.cli.overview:find", "Find any id, key, object, commit or name"),
    "trace": ("retrain.cli.trace:trace", "Show the chain from an object to the live model"),
    "events": ("retrain.cli.events:events", "List, follow, send and show events"),
    "sources": ("retrain.cli.sources:sources", "Show where events come from"),
    "sensors": ("retrain.cli.sensors:sensors", "Show sensors and explain their decisions"),
    "firings": ("retrain.cli.firings:firings", "Show what sensors have set off"),
    "runs": ("retrain.cli.runs:runs", "List, watch, read and stop workflow runs"),
    "crons": ("retrain.cli.crons:crons", "Show, suspend and start workflows that run by the clock"),
    "models": ("retrain.cli.models:models", "Show what is live where, and how it came there"),
    "promotions": ("retrain.cli.promotions:promotions", "Show, plan, approve and roll back promotions"),
    "backup": ("retrain.cli.backup:backup", "Make, check and restore back-ups of a platform's state"),
    "support": ("retrain.cli.support:support", "Gather what helps to find a fault, without secrets"),
    "tokens": ("retrain.cli.tokens:tokens", "Make, list and revoke tokens of people and programs"),
    "audit": ("retrain.cli.audit:audit", "Show what people did"),
    "deadletters": ("retrain.cli.deadletters:deadletters", "Show and redrive what could not be done"),
}
"""Each command: where it is, and its line in the help. A new one is a file and a line here."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that `--help` and each command start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(module), name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "RETRAIN"})
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """Event-driven retraining: data changes, the model follows."""


def main() -> None:
    """Run the command and exit with its status."""
    # What a start makes and what a plan is made of stays: to look through all of it again and again takes a tenth of
    # the start (20 ms each time), and a third of the time of a run of 10,000 steps.
    gc.set_threshold(200_000, 50, 100)
    sys.exit(call(sys.argv[1:]))


def call(words: list[str]) -> int:
    """Run one command; its exit status. What goes wrong is said on stderr."""
    try:
        result: Any = cli.main(words, prog_name="retrain", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except RetrainError as error:
        click.echo(f"error: {error}", err=True)
        return _status(error)
    except BrokenPipeError:
        # `retrain ... | head`: the reader has enough. Point stdout away so that the interpreter's flush is silent.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - the one entry: a bug gets a status
        if _was_interrupted(error):
            return 130
        import traceback

        traceback.print_exc()
        click.echo("error: this is a bug in retrain; please report it with the lines above", err=True)
        return 3
    return result if isinstance(result, int) else 0


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is at the bottom of an error: libraries wrap it while they are imported."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):  # of the tasks that were running
            return any(_was_interrupted(one) for one in error.exceptions)
        # pydantic-core keeps it as text alone.
        if isinstance(error, KeyboardInterrupt) or (
            type(error).__name__ == "SchemaError" and "KeyboardInterrupt" in str(error)
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def _status(error: RetrainError) -> int:
    if isinstance(error, ConfigError):
        return 2
    return 4 if isinstance(error, Transient) else 1
