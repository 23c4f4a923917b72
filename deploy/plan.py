"""What a promotion would change and what its gates would say, with nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import anyio.to_thread

from deploy import attempt, proposals, spec
from deploy import candidate as candidates
from deploy.attempt import Place
from deploy.derive import Derived, Intent
from deploy.forges import branch_of
from deploy.git import Git
from deploy.git.access import Secrets
from deploy.pulling import telling
from deploy.registry.candidates import resolve
from deploy.spec import PromotionDocument
from retrain.clock import Clock, SystemClock
from retrain.errors import ConfigError
from retrain.events import JsonValue


def place(
    data: Path, root: Path, environment: Mapping[str, str] | None = None, secrets: Secrets | None = None
) -> Place:
    """A place for git under `data`: its home and the caches. `environment`: see `git.PASSED_ON`; `secrets`: `Place`."""
    git = Git(data.absolute() / "git" / "home", environment or {})
    return Place(git, data.absolute(), root.absolute(), secrets)


async def plan(
    where: Place,
    document: PromotionDocument,
    candidate: Mapping[str, JsonValue],
    clock: Clock | None = None,
    environment: str | None = None,
) -> dict[str, JsonValue]:
    """`{"outcome", "reason", "changes", "diff", "gates", "base", "message", "environment",
    "warnings", "pullRequest"}`.

    `outcome` is commit, noop or refused. `environment`: None is where candidates enter. `pullRequest`: what would be
    opened, `{forge, repository, branch, title, autoMerge}`, None where nothing would be.

    Raises:
        ConfigError: the candidate or the document is wrong.
        Refused: the repository does not hold what the edits name.
        NotFound: the registry has no such model, version or alias.
        Transient, Permanent: the repository or the registry is away, or says no.
    """
    if problems := [problem.message for problem in spec.check(document) if problem.severity == "error"]:
        raise ConfigError("; ".join(problems))
    document = document.at(environment or document.entry)
    model = candidates.read(await resolve(document.spec.registry, candidate, where.vault))
    key = proposals.intent_key(document, model.digest, "promote")
    # No id of a real promotion: a plan for a model that is live already says what the next one would come to.
    intent = Intent("p-plan", key, "promote", model.digest, (clock or SystemClock()).now(), model)
    base, derived = await anyio.to_thread.run_sync(partial(attempt.look, where, document, intent))
    return {
        "outcome": derived.outcome,
        "reason": derived.reason,
        "changes": derived.changes,
        "diff": derived.diff,
        "gates": derived.gates,
        "base": base,
        "message": derived.message,
        "environment": document.spec.environment,
        "warnings": [*derived.warnings],
        "pullRequest": _pull(document, intent, derived) if derived.outcome == "commit" else None,
    }


def _pull(document: PromotionDocument, intent: Intent, derived: Derived) -> JsonValue:
    """The pull request that would be opened; None where the commit is pushed."""
    wanted = document.spec.pullRequest
    if wanted is None:
        return None
    return {
        "forge": wanted.forge,
        "repository": wanted.repository,
        "branch": branch_of(f"{document.spec.environment}/{document.name}", intent.key),
        "title": telling.title(document, intent, derived),
        "autoMerge": wanted.autoMerge,
    }
