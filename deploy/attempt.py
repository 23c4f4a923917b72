"""One attempt at a promotion: fetch, derive, commit, push. Blocking; call it from a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy import derive
from deploy import record as records
from deploy.derive import Derived, Intent
from deploy.git import Author, Git, Repository
from deploy.names import resolve_url
from deploy.spec import PromotionDocument
from retrain import faults


@dataclass(frozen=True, slots=True)
class Place:
    """Where this machine keeps its part: caches under `data`; paths in manifests start at `root`."""

    git: Git
    data: Path
    root: Path

    def repository(self, document: PromotionDocument) -> Repository:
        """The document's deployment repository."""
        return Repository(self.git, resolve_url(document.spec.repo.url, self.root), self.data / "git")


def look(place: Place, document: PromotionDocument, intent: Intent) -> tuple[str, Derived]:
    """Fetch, and derive on what is there now; the base commit and what the promotion comes to. Nothing is written.

    Raises:
        Refused, ConfigError: it cannot be derived there.
        Transient, Permanent: the repository is away, or says no.
    """
    repository = place.repository(document)
    with repository.locked():
        return _derive(repository, document, intent)


def current(place: Place, document: PromotionDocument) -> records.Record | None:
    """The record at the branch's tip.

    Raises:
        As `look`.
    """
    repository = place.repository(document)
    with repository.locked():
        base = repository.fetch(document.spec.repo.branch)
        file = document.record_file
        return records.read(repository.read(base, (), optional=file)[file], file)


def run(
    place: Place,
    document: PromotionDocument,
    intent: Intent,
    before_push: Callable[[Derived, str, str], bool],
) -> tuple[str, str | None, Derived]:
    """Try once. The base, the commit (None if there is none to make or it is not known) and what was derived.

    `before_push(derived, base, commit)` writes down what is about to happen; False calls it off.

    Raises:
        Race: the branch moved; try again.
        As `look` otherwise.
    """
    repository = place.repository(document)
    with repository.locked():
        base, derived = _derive(repository, document, intent)
        if derived.outcome != "commit":
            return base, None, derived
        commit = document.spec.commit
        author = Author(commit.name, commit.email, int(intent.created.timestamp()))
        sha = repository.commit(base, derived.files, derived.message, author)
        if not before_push(derived, base, sha):
            return base, None, Derived("refused", "", derived.verdicts, derived.edits)
        faults.point("promotion.before_push")
        repository.push(base, sha, document.spec.repo.branch)
        faults.point("promotion.after_push")
        return base, sha, derived


def _derive(repository: Repository, document: PromotionDocument, intent: Intent) -> tuple[str, Derived]:
    base = repository.fetch(document.spec.repo.branch)
    record_file = document.record_file
    if intent.action == "promote":
        files = derive.files_of(document)
        return base, derive.promote(document, intent, repository.read(base, files, optional=record_file))
    first = repository.read(base, (), optional=record_file)
    record = records.read(first[record_file], record_file)
    contents = {**repository.read(base, derive.rollback_files(record)), **first}
    return base, derive.rollback(document, intent, contents)
