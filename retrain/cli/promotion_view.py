"""A promotion for the terminal: where its model is, who said what of it, what its gates say, what it changes."""

from __future__ import annotations

from typing import Any

import click

from retrain.cli.gate_bars import bars
from retrain.cli.output import Column, age, second, table

STEPS: tuple[Column, ...] = (
    ("ENVIRONMENT", lambda e: e["environment"]),
    ("STATE", lambda e: e["state"]),
    ("PROMOTION", lambda e: e["promotion"]),
    ("COMMIT", lambda e: (e["commit"] or "")[:12]),
)
APPROVALS: tuple[Column, ...] = (
    ("WHO", lambda a: a["actor"] if a["verified"] else f"{a['actor']} (unverified)"),
    ("SAYS", lambda a: f"{a['decision']}, lapsed" if a["lapsed"] else a["decision"]),
    ("ROLES", lambda a: ", ".join(a["roles"])),
    ("AGO", lambda a: age(a["at"])),
    ("UNTIL", lambda a: second(a["expires"])),
    ("REASON", lambda a: a["reason"]),
)
GATES: tuple[Column, ...] = (
    ("GATE", lambda g: g["name"]),
    ("KIND", lambda g: g["kind"]),
    ("VERDICT", lambda g: _verdict(g)),
    ("REASON", lambda g: g["reason"]),
)
CHECKS: tuple[Column, ...] = (
    ("CHECK", lambda c: c["name"]),
    ("KIND", lambda c: c["kind"]),
    ("VERDICT", lambda c: c["verdict"]),
    ("REASON", lambda c: c["reason"]),
)
CHANGES: tuple[Column, ...] = (
    ("FILE", lambda c: c["file"]),
    ("PATH", lambda c: c["path"]),
    ("OLD", lambda c: c["old"]),
    ("NEW", lambda c: c["new"]),
)


def _verdict(gate: dict[str, Any]) -> str:
    if gate.get("advisory"):
        return f"{gate['verdict']} (advisory)"
    waived = gate.get("waived")
    return f"{gate['verdict']}, waived by {waived['actor']}: {waived['reason']}" if waived else gate["verdict"]


def show(found: dict[str, Any]) -> None:
    """One promotion."""
    reason = f": {found['reason']}" if found["reason"] else ""
    click.echo(f"{found['id']}  {found['action']} {found['name']} to {found['environment']}  {found['state']}{reason}")
    if found["commit"]:
        click.echo(f"commit {found['commit']}")
    _waiting(found.get("waiting") or {})
    _mark(found.get("mark") or {})
    _pull(found.get("pull") or {})
    _verification(found.get("verification") or {}, found.get("step") or 1)
    if len(found.get("environments", ())) > 1:
        table(STEPS, found["environments"], empty="no environments")
    if found.get("approvals"):
        table(APPROVALS, found["approvals"], empty="no approvals", prose=True)
    plan(found)


def _waiting(waiting: dict[str, Any]) -> None:
    if waiting.get("need"):
        until = f", until {second(waiting['until'])}" if waiting.get("until") else ""
        click.echo(f"approvals {waiting['have']} of {waiting['need']}{until}")
    if waiting.get("due"):
        click.echo(f"goes on at {second(waiting['due'])}")


def _pull(pull: dict[str, Any]) -> None:
    if pull.get("url"):
        click.echo(f"pull request {pull['url']}")


def _verification(seen: dict[str, Any], step: int) -> None:
    if not seen:
        return
    canary = f", step {step} of its canary" if step > 1 or seen.get("nextStep") else ""
    until = (
        f", until {second(seen['until'])} at the latest" if seen["outcome"] == "pending" and seen.get("until") else ""
    )
    reason = f": {seen['reason']}" if seen["reason"] else ""
    click.echo(f"verification {seen['outcome']}{canary}{until}{reason}")
    if seen.get("nextStep"):
        click.echo(f"the next step is due at {second(seen['nextStep'])}")
    if seen["checks"]:
        table(CHECKS, seen["checks"], empty="no checks", prose=True)


def _mark(mark: dict[str, Any]) -> None:
    if not mark:
        return
    says = [f"alias {mark['alias']}"] if mark["alias"] else []
    says += [f"{name}={value}" for name, value in mark["tags"].items()]
    reason = f": {mark['reason']}" if mark["reason"] else ""
    click.echo(f"registry {mark['state']}  {mark['model']} version {mark['version']}, {', '.join(says)}{reason}")


def plan(found: dict[str, Any]) -> None:
    """What the gates say, and what changes."""
    table(GATES, found["gates"], empty="no gates", prose=True)
    for line in bars(found["gates"]):
        click.echo(line)
    table(CHANGES, found["changes"], empty="nothing changes")
    if found["diff"]:
        click.echo(found["diff"], nl=False)
    for warning in found.get("warnings", ()):
        click.echo(f"warning: {warning}")
