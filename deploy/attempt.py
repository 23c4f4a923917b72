"""One attempt at a promotion: fetch, derive, commit, push. Blocking; call it from a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from deploy import derive, trailers
from deploy import provenance as provenances
from deploy import record as records
from deploy.derive import Derived, Intent
from deploy.git import Author, Git, Lineage, Race, Repository
from deploy.git.access import Secrets, Vault, resolve
from deploy.git.signing import GpgSigner, Signer, SshSigner, load_key
from deploy.git.spec import Sign
from deploy.git.writing import tag as tag_object
from deploy.names import resolve_url
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.telemetry import meters


@dataclass(frozen=True, slots=True)
class Place:
    """Where this machine keeps its part: caches under `data`; paths in manifests start at `root`.

    `secrets`: where `secretKeyRef` looks; None: nowhere.
    """

    git: Git
    data: Path
    root: Path
    secrets: Secrets | None = None

    @property
    def vault(self) -> Vault:
        """Reads the secrets that manifests name, as they are now."""
        return Vault(self.secrets, self.git.environment, self.root)

    def repository(self, document: PromotionDocument) -> Repository:
        """The document's deployment repository, with what its secrets hold now.

        Raises:
            Transient: a secret is not there.
            ConfigError: one holds what it cannot.
        """
        repo = document.spec.repo
        url = resolve_url(repo.url, self.root)
        return Repository(
            self.git, url, self.data / "git", resolve(repo, self.vault), self._signer(document.spec.commit.sign)
        )

    def lineage(self, document: PromotionDocument) -> Lineage:
        """The history of the document's deployment repository.

        Raises:
            As `repository`.
        """
        repo = document.spec.repo
        return Lineage(self.git, resolve_url(repo.url, self.root), self.data / "git", resolve(repo, self.vault))

    def _signer(self, sign: Sign | None) -> Signer | None:
        if sign is None:
            return None
        if sign.ssh is not None:
            return SshSigner(self.vault.read(sign.ssh.key))
        assert sign.gpg is not None
        return GpgSigner(self.vault.read(sign.gpg.key), sign.gpg.keyId)


def look(place: Place, document: PromotionDocument, intent: Intent) -> tuple[str, Derived]:
    """Fetch, and derive on what is there now; the base commit and what the promotion comes to. Nothing is written.

    Raises:
        Refused, ConfigError: it cannot be derived there.
        Transient, Permanent: the repository is away, or says no.
    """
    repository = place.repository(document)
    with repository.locked():
        return derived_on(repository, document, intent)


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
        base, derived = derived_on(repository, document, intent)
        if derived.outcome != "commit":
            return base, None, derived
        derived = with_provenance(place, document, derived)
        author = author_of(document, intent)
        faults.point("promotion.before_commit")
        sha = repository.commit(base, derived.files, derived.message, author)
        if not before_push(derived, base, sha):
            return base, None, Derived("refused", "", derived.verdicts, derived.edits)
        faults.point("promotion.before_push")
        with pushing():
            repository.push(base, sha, document.spec.repo.branch, _tag(document, derived, sha, author))
        faults.point("promotion.after_push")
        return base, sha, derived


@contextmanager
def pushing() -> Generator[None]:
    """Count a push, and how it went."""
    started = perf_counter()
    try:
        yield
    except Race:
        meters.GIT_PUSHES.add("raced")
        raise
    except Exception:
        meters.GIT_PUSHES.add("failed")
        raise
    meters.GIT_PUSHES.add("pushed")
    meters.GIT_PUSH_SECONDS.observe(perf_counter() - started)


def author_of(document: PromotionDocument, intent: Intent) -> Author:
    """Who the commit is by, and when: the promotion's own time, so that it is the same commit every time."""
    commit = document.spec.commit
    return Author(commit.name, commit.email, int(intent.created.timestamp()))


def with_provenance(place: Place, document: PromotionDocument, derived: Derived) -> Derived:
    """The same with an attested origin of the model, where that is asked for and a model goes live."""
    wish = document.spec.commit.provenance
    if wish is None or wish.key is None or derived.rolled_back is not None:
        return derived
    record = _record(document, derived)
    # Later steps of a canary change no model: what is attested of the first commit holds.
    if record.live is None or (record.step is not None and record.step.number > 1):
        return derived
    key = load_key(place.vault.read(wish.key), "commit.provenance.key")
    payload = provenances.statement(record, wish.builder, record.gateReport)
    file = provenances.file_of(document.record_file, record.live.digest)
    message = trailers.added(derived.message, [("Provenance-Digest", provenances.digest(payload))])
    return replace(derived, files={**derived.files, file: provenances.seal(payload, key)}, message=message)


def _tag(document: PromotionDocument, derived: Derived, sha: str, author: Author) -> tuple[str, bytes] | None:
    if not document.spec.commit.tag:
        return None
    name = f"{document.name}@{document.spec.environment}/{_record(document, derived).number}"
    return name, tag_object(name, sha, derived.message, author)


def _record(document: PromotionDocument, derived: Derived) -> records.Record:
    record = records.read(derived.files[document.record_file], document.record_file)
    assert record is not None
    return record


def derived_on(repository: Repository, document: PromotionDocument, intent: Intent) -> tuple[str, Derived]:
    """Fetch, and derive on what is there now. Hold the repository's lock.

    Raises:
        As `look`.
    """
    base = repository.fetch(document.spec.repo.branch)
    record_file = document.record_file
    if intent.action == "promote" and intent.step == 0:
        files = derive.files_of(document)
        return base, derive.promote(document, intent, repository.read(base, files, optional=record_file))
    first = repository.read(base, (), optional=record_file)
    record = records.read(first[record_file], record_file)
    contents = {**repository.read(base, derive.rollback_files(record)), **first}
    if intent.action == "promote":
        contents = {**repository.read(base, derive.files_of(document)), **contents}
        return base, derive.step(document, intent, contents)
    return base, derive.rollback(document, intent, contents)
