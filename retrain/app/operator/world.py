"""All objects that are watched: of each its newest version, the last one without an error, and the one that runs. Pure.

What the world is depends on what was seen of each object, in its own order, and not on how the objects' changes were
mixed: two platforms that watch one cluster run the same project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

import orjson

from retrain.app.operator.judging import Verdict
from retrain.app.operator.watched import Key, Object
from retrain.app.projects.catalog import Item
from retrain.app.projects.known import Built, Known
from retrain.app.projects.project import Project, project_of
from retrain.manifests import Document, Finding, Kinds, Loaded, Problem
from retrain.manifests.objects import LAST_APPLIED

Judge = Callable[[Object], Verdict]
WRITTEN = ("name", "namespace", "labels")
"""What of `metadata`, beside annotations, a user writes."""
SAME = "duplicate-name"
CANNOT = "cannot-run"


@dataclass(frozen=True, slots=True)
class Version:
    """An object as it was seen, with what was made of it. `digest` changes with what its user has written."""

    found: Object
    digest: str
    verdict: Verdict

    @property
    def uid(self) -> str:
        return str(self.found["metadata"].get("uid", ""))

    @property
    def generation(self) -> int:
        return int(self.found["metadata"].get("generation") or 0)

    @property
    def age(self) -> tuple[str, str]:
        """Older objects have less."""
        return str(self.found["metadata"].get("creationTimestamp", "")), self.uid


@dataclass(slots=True)
class Standing:
    """How an object stands. `good`: its last version without an error; `ran`: the last that the platform took; None:
    there was none. `refused`: why `good` cannot be run although nothing in it is wrong."""

    newest: Version
    good: Version | None
    ran: Version | None = None
    refused: tuple[Finding, ...] = ()
    barred: frozenset[str] = frozenset()

    @property
    def wanted(self) -> Version | None:
        """The version that is to run."""
        return next((one for one in (self.good, self.ran) if one is not None and one.digest not in self.barred), None)

    def see(self, found: Object) -> None:
        """The newest version once more: with another status, or something else that no user has written."""
        before, now = self.newest, replace(self.newest, found=found)
        self.newest = now
        self.good = now if self.good is before else self.good
        self.ran = now if self.ran is before else self.ran


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the world comes to: the project, whose versions are in it, and what is to be said because of others."""

    project: Project
    running: Mapping[Key, Version]
    said: Mapping[Key, tuple[Finding, ...]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The versions that are to run; of it the outlook is made, in a thread if need be: nothing here changes."""

    running: Mapping[Key, Version]
    said: Mapping[Key, tuple[Finding, ...]]
    unseen: frozenset[str]

    def outlook(self) -> Outlook:
        """With what is wrong between them. Takes a millisecond for each of them."""
        project, said = _project(self.running), dict(self.said)
        for key, finding in _by_key(self.running, project.findings):
            if finding.code not in self.unseen:
                # Objects come in any order: what another one lacks may come yet.
                said[key] = (*said.get(key, ()), replace(finding, severity="warning"))
        return Outlook(replace(project, findings=()), self.running, said)


@dataclass(slots=True)
class World:
    """Objects by their keys."""

    judge: Judge
    unseen: frozenset[str] = frozenset()
    """Codes of findings that mean nothing here, because what they tell of is not watched."""
    standings: dict[Key, Standing] = field(default_factory=dict[Key, Standing])

    # --- what is seen ------------------------------------------------------------------------------------------------

    def see(self, found: Object) -> bool:
        """An object as it is now; whether anything has changed for the project."""
        key = Key.of(found)
        if found["metadata"].get("deletionTimestamp"):
            return self.lose(key)
        before, digest = self.standings.get(key), digest_of(found)
        if before is not None and before.newest.uid != str(found["metadata"].get("uid", "")):
            before = None  # another one has its name
        if before is not None and before.newest.digest == digest:
            before.see(found)
            return False
        version = Version(found, digest, self.judge(found))
        good = version if version.verdict.item is not None else before.good if before is not None else None
        self.standings[key] = Standing(version, good, before.ran if before is not None else None)
        return True

    def lose(self, key: Key) -> bool:
        """An object is gone; whether it was there."""
        return self.standings.pop(key, None) is not None

    def settle(self, resource: str, objects: Iterable[Object]) -> bool:
        """These are all objects of a resource; whether anything has changed."""
        found = {Key.of(one): one for one in objects}
        gone = [key for key in self.standings if key.resource == resource and key not in found]
        changed = [self.lose(key) for key in gone] + [self.see(one) for one in found.values()]
        return any(changed)

    def restore(self, objects: Iterable[Object]) -> None:
        """What ran before a restart. What has an error by now is left out."""
        for found in objects:
            version = Version(found, digest_of(found), self.judge(found))
            if version.verdict.item is not None:
                self.standings[Key.of(found)] = Standing(version, version, version)

    # --- what becomes of it ------------------------------------------------------------------------------------------

    def outlook(self) -> Outlook:
        """What is to run, and what is to be said of objects because of others."""
        return self.choose().outlook()

    def choose(self) -> Choice:
        """What is to run. Of several objects that have one name inside the platform, the oldest does."""
        wanted = [(version, key) for key, one in self.standings.items() if (version := one.wanted) is not None]
        running: dict[Key, Version] = {}
        first: dict[tuple[str, str], Key] = {}
        said: dict[Key, tuple[Finding, ...]] = {}
        for version, key in sorted(wanted, key=lambda one: (one[0].age, one[1])):
            document = _item(version).document
            older = first.setdefault((document.kind, document.name), key)
            if older == key:
                running[key] = version
            else:
                message = f"{older} is older and has this name, too; delete one of them, or name it otherwise"
                said[key] = (document.finding(Problem(("metadata", "name"), SAME, message)),)
        return Choice(running, said, self.unseen)

    def took(self, outlook: Outlook) -> None:
        """The platform runs this now."""
        for key, one in self.standings.items():
            one.ran = outlook.running.get(key)

    def refuse(self, key: Key, message: str) -> None:
        """The version that is wanted cannot be run now. The one that ran before is wanted instead."""
        standing = self.standings[key]
        if (version := standing.wanted) is not None:
            problem = Problem(("spec",), CANNOT, message)
            standing.refused = standing.refused or (_item(version).document.finding(problem),)
            standing.barred |= {version.digest}

    def reconsider(self) -> bool:
        """What was refused may be tried again; whether there was any."""
        refused = [one for one in self.standings.values() if one.refused]
        for one in refused:
            one.refused, one.barred = (), frozenset()
        return bool(refused)

    def objects(self, kind: str, outlook: Outlook) -> list[Object]:
        """All objects of a kind in the versions that run, each with its status of now: a wrong version changes nothing
        of what stands beside an object either."""
        running = ((self.standings.get(key), version.found) for key, version in sorted(outlook.running.items()))
        return [
            {**found, "status": standing.newest.found.get("status")}
            for standing, found in running
            if standing is not None and found["kind"] == kind
        ]


def digest_of(found: Object) -> str:
    """What changes when a user changes something of an object."""
    metadata = found["metadata"]
    kept = {name: metadata[name] for name in WRITTEN if metadata.get(name)}
    kept["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    body = {name: value for name, value in found.items() if name not in {"metadata", "status"}} | {"metadata": kept}
    try:
        text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # nested so deeply that it is refused, whatever it says
        text = f"{metadata.get('uid')} {metadata.get('generation')}".encode()
    return sha256(text).hexdigest()


class _Judged(Known):
    """Documents that were read already: what was made of each is known."""

    def __init__(self, items: Iterable[Item]) -> None:
        super().__init__()
        self._items = {id(item.document): item for item in items}

    def build(self, document: Document, installed: Mapping[str, Kinds]) -> Built:
        del installed  # it was read with these
        return self._items[id(document)], []


def _project(running: Mapping[Key, Version]) -> Project:
    items = [_item(running[key]) for key in sorted(running)]
    documents = tuple(item.document for item in items)
    # What is wrong with templates is Argo's to say.
    files = tuple(str(key) for key in sorted(running) if "workflowtemplates" not in key.resource)
    return project_of(Loaded(files, (), documents, ()), known=_Judged(items))


def _by_key(running: Mapping[Key, Version], findings: Iterable[Finding]) -> Iterator[tuple[Key, Finding]]:
    keys = {str(key): key for key in running}
    return ((keys[finding.file], finding) for finding in findings if finding.file in keys)


def _item(version: Version) -> Item:
    assert version.verdict.item is not None, "only versions without an error are wanted"
    return version.verdict.item
