"""What has happened to a file, from what was known of it and what it is now. Pure.

The bits are fsnotify's, as Argo Events has them: CREATE 1, WRITE 2, REMOVE 4, RENAME 8, CHMOD 16.
"""

from __future__ import annotations

import os
from hashlib import sha256
from urllib.parse import quote

from eventsources.watching.inotify import ATTRIB, MOVED_FROM

CREATE, WRITE, REMOVE, RENAME, CHMOD = 1, 2, 4, 8, 16
MAX_ID = 1024


def decide(known: str | None, now: str | None, hints: int) -> int:
    """The bits of all that happened; 0 for nothing. Versions are `inode:size:mtime`; `hints` are inotify's.

    A file with content that was not known has been created and written. One whose inode is another is a new file under
    an old name. What is gone was removed, or renamed if a hint says so. What only hints tell (RENAME, CHMOD) is not
    found by looking later.
    """
    if now is None:
        if known is None:
            return 0
        return RENAME if hints & MOVED_FROM else REMOVE
    if known is None or _inode(known) != _inode(now):
        return CREATE | (WRITE if now.split(":")[1] != "0" else 0)
    if known != now:
        return WRITE
    return CHMOD if hints & ATTRIB else 0


def pick(bits: int, wanted: int) -> int:
    """The one bit that an event tells, of those that happened and are wanted: the lowest; 0 for none."""
    both = bits & wanted
    return both & -both


def event_id(event_name: str, bit: int, path: str, version: str) -> str:
    """The id of what happened: the same for the same file in the same version, whoever saw it and when."""
    text = f"{quote(event_name)}:{bit}:{quote(os.fsencode(path), safe='/')}:{version}"
    return text if len(text) <= MAX_ID else f"{quote(event_name)[:64]}:{bit}:{sha256(text.encode()).hexdigest()}"


def _inode(version: str) -> str:
    return version.partition(":")[0]
