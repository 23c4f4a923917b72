"""`retrain promotions verify`: hold a promotion's commit against what it claims, offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from retrain.cli.output import Column, emit, output_option, table

CHECKS: tuple[Column, ...] = (
    ("CHECK", lambda c: c["check"]),
    ("ANSWER", lambda c: c["answer"]),
    ("WHY", lambda c: c["why"]),
)

key_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Check a promotion's commit against what it claims.")
@click.argument("commit")
@click.option("--repo", default=".", show_default=True, help="The deployment repository: a path or an address")
@click.option("--name", default="", help="Which promotion, where the commit has several")
@click.option("--environment", "-e", default="", help="Which environment, where the commit has several")
@click.option("--allowed-signers", type=key_file, help="Whose SSH signatures count; a file as ssh-keygen(1) has it")
@click.option("--gpg-keys", type=key_file, help="Whose OpenPGP signatures count; armoured public keys")
@click.option("--provenance-key", type=key_file, help="Whose statements of origin count; a public key")
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Where relative addresses of models start",
)
@output_option
def verify(commit: str, repo: str, output: str, **options: Any) -> None:
    """Check a promotion's commit against what it claims: signature, record, trailers, gates, approvals, edits, the
    chain of records, the statement of origin, and the model's bytes where they are here.

    COMMIT is a SHA, a branch or a tag. Nothing is asked of a platform. A check that cannot be made from here is
    `unknown`; the exit code is 1 if any is `no`.
    """
    from retrain.app.promotions.verifying import read_keys, verify_commit

    keys = read_keys(options["allowed_signers"], options["gpg_keys"], options["provenance_key"])
    target = "/".join(part for part in (options["name"], options["environment"]) if part)
    found = verify_commit(commit, repo, target, keys, options["models"])
    emit(found, output, name=lambda f: f["commit"], table=_show)
    if found["answer"] == "no":
        click.get_current_context().exit(1)


def _show(found: dict[str, Any]) -> None:
    click.echo(f"commit {found['commit']}  {found['record']}")
    table(CHECKS, found["checks"], empty="nothing to check", prose=True)
