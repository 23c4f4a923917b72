"""What one source has told lately: between the bus and the store's memory of it lies some time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from eventsources.objects.s3_records import ObjectVersion

REMEMBERED = 50_000


class Told:
    """Keys of events, the newest REMEMBERED; and versions that a listing has told of, without their times."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._keys[key] = None
        while len(self._keys) > REMEMBERED:
            self._keys.popitem(last=False)

    def listed(self, versions: Iterable[ObjectVersion]) -> None:
        """A listing has told of these."""
        self.add(_mark(one) for one in versions if not one.version)

    def has_listed(self, version: ObjectVersion) -> bool:
        """Whether a listing has told of a version like this one."""
        return _mark(version) in self._keys


def _mark(version: ObjectVersion) -> str:
    return f"\n{version.bucket}\n{version.key}\n{version.etag}"
