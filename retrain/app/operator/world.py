"""All objects that are watched: of each its newest version, and the last one without an error. Pure.

What the world is depends on what was seen of each object, in its own order, and not on how the objects' changes were
mixed: two platforms that watch one cluster run the same project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, cast

import orjson

from retrain.app.operator.judging import Verdict
from retrain.app.operator.watched import Key, Object
from retrain.app.projects.catalog import Item
from retrain.app.projects.known import Known
from retrain.app.projects.project import Project, project_of
from retrain.manifests import Finding, Loaded, Problem

Judge = Callable[[Object], Verdict]
NOT_WRITTEN = frozenset({"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"})
SAME = "duplicate-name"


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
    """How an object stands. `good`: its last version without an error; None: there was none.

    `refused`: why the newest cannot be run although there is no error in it: what it names is missing, another has its
    name.
    """

    newest: Version
    good: Version | None
    refused: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with the newest version."""
        return (*self.newest.verdict.findings, *self.refused)

    @property
    def runs(self) -> Version | None:
        """The version that runs: the newest if it can, else the last that could."""
        return self.good

    @property
    def up_to_date(self) -> bool:
        return self.good is self.newest and not self.refused


@dataclass(slots=True)
class World:
    """Objects by their keys."""

    judge: Judge
    standings: dict[Key, Standing] = field(default_factory=dict[Key, Standing])
    _known: Known = field(default_factory=Known)

    # --- what is seen ------------------------------------------------------------------------------------------------

    def see(self, found: Object) -> bool:
        """An object as it is now; whether anything has changed for the project."""
        key = Key.of(found)
        if found["metadata"].get("deletionTimestamp"):
            return self.lose(key)
        before, digest = self.standings.get(key), digest_of(found)
        if before is not None and before.newest.digest == digest and before.newest.uid == uid_of(found):
            # Its status, or something else that no user has written.
            before.newest = _refreshed(before.newest, found, same=before.good is before.newest, standing=before)
            return False
        version = Version(found, digest, self.judge(found))
        good = version if version.verdict.item is not None else None
        if good is None and before is not None and before.newest.uid == version.uid:
            good = before.good
        self.standings[key] = Standing(version, good)
        return True

    def lose(self, key: Key) -> bool:
        """An object is gone; whether it was there."""
        return self.standings.pop(key, None) is not None

    def settle(self, resource: str, objects: Iterable[Object]) -> bool:
        """These are all objects of a resource; whether anything has changed."""
        found = {Key.of(one): one for one in objects}
        gone = [key for key in self.standings if key.resource == resource and key not in found]
        changed = [self.lose(key) for key in gone]
        changed += [self.see(one) for one in found.values()]
        return any(changed)

    def restore(self, objects: Iterable[Object]) -> list[Key]:
        """Good versions from before a restart; the keys of those that are none any more."""
        lost: list[Key] = []
        for found in objects:
            key = Key.of(found)
            version = Version(found, digest_of(found), self.judge(found))
            if version.verdict.item is None:
                lost.append(key)
            else:
                self.standings[key] = Standing(version, version)
        return lost

    # --- what is made of it ------------------------------------------------------------------------------------------

    def refuse(self, key: Key, message: str) -> None:
        """The version that would run cannot be run now. `reconsider` tries it again."""
        standing = self.standings[key]
        problem = Problem(("spec",), "cannot-run", message)
        document = standing.newest.verdict.item.document if standing.newest.verdict.item else None
        if document is not None:
            standing.refused = (*standing.refused, document.finding(problem))

    def reconsider(self) -> bool:
        """What was refused may be tried again; whether there was any."""
        refused = [one for one in self.standings.values() if one.refused]
        for one in refused:
            one.refused = ()
        return bool(refused)

    def project(self) -> tuple[Project, dict[Key, tuple[Finding, ...]]]:
        """What runs, and what is to be said of objects because of others. Of several with one name the oldest runs."""
        chosen: dict[tuple[str, str], tuple[Key, Version]] = {}
        said: dict[Key, tuple[Finding, ...]] = {}
        standing = [(one.good.age, key, one.good) for key, one in self.standings.items() if one.good is not None]
        for _, key, version in sorted(standing, key=lambda one: (one[0], one[1])):
            document = cast("Item", version.verdict.item).document
            first = chosen.setdefault((document.kind, document.name), (key, version))
            if first[0] != key:
                message = f"{first[0]} is older and has this name, too; delete one of them, or name it otherwise"
                said[key] = (document.finding(Problem(("metadata", "name"), SAME, message)),)
        items = [cast("Item", version.verdict.item) for _, (_, version) in sorted(chosen.items())]
        files = tuple(str(key) for key, version in chosen.values() if _is_told(version))
        project = project_of(Loaded(files, (), tuple(one.document for one in items), ()), known=self._known)
        keys = {str(key): key for key, _ in chosen.values()}
        for finding in project.findings:
            if (key := keys.get(finding.file)) is not None and finding.code not in _own_codes(self.standings[key]):
                said[key] = (*said.get(key, ()), replace(finding, severity="warning"))
        return replace(project, findings=()), said

    def objects(self, kind: str) -> list[Object]:
        """All objects of a kind as they were seen last."""
        return [one.newest.found for one in self.standings.values() if one.newest.found["kind"] == kind]


def digest_of(found: Object) -> str:
    """What changes when a user changes something of an object."""
    from retrain.manifests.objects import LAST_APPLIED

    metadata = {name: value for name, value in found["metadata"].items() if name not in NOT_WRITTEN}
    metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
    body = {**{name: value for name, value in found.items() if name != "status"}, "metadata": metadata}
    return sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def uid_of(found: Object) -> str:
    return str(found["metadata"].get("uid", ""))
