"""`retrain sources setup`: the rules by which buckets notify the sources of a project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from eventsources.objects.s3_setup import rules_of, write
from eventsources.spec import EventSourceDocument
from retrain.app.platform import read_project
from retrain.app.projects.catalog import bodies
from retrain.app.projects.secrets import ProjectSecrets
from retrain.errors import NotFound


def set_up(folder: str, name: str, *, dry_run: bool = False) -> list[dict[str, Any]]:
    """Write the rules of the source `name` (SOURCE or SOURCE/EVENT); what became of each, as `outcome`.

    Raises:
        NotFound: there is no such source, or a secret is missing. ConfigError: a manifest has an error.
        Transient: the server does not take a rule; the ones before it are written.
    """
    source, _, event = name.partition("/")
    project = read_project(Path(folder))
    secrets = ProjectSecrets(bodies(project.secrets), bodies(project.config_maps), os.environ)
    documents: list[EventSourceDocument] = [one.model for one in project.event_sources if one.model.name == source]
    if not any(event in ("", entry) for one in documents for entry in _entries(one)):
        raise NotFound(f"{name}: the manifests in {folder} have no such event source")
    done: list[dict[str, Any]] = []
    for document in documents:
        for rule in rules_of(document, event):
            outcome = "would be written" if dry_run else _outcome(write(document, rule, secrets))
            done.append(
                {
                    "rule": rule.name,
                    "bucket": rule.bucket,
                    "arn": rule.arn,
                    "events": list(rule.events),
                    "prefix": rule.prefix,
                    "suffix": rule.suffix,
                    "outcome": outcome,
                }
            )
    return done


def _outcome(written: bool) -> str:
    return "written" if written else "was there"


def _entries(document: EventSourceDocument) -> list[str]:
    return [entry for kind in document.spec.runnable for entry in document.spec.entries(kind)]
