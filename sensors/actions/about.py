"""What an event is about, in one text: for lists of a window's events, and for people."""

from __future__ import annotations

from sensors.actions.s3_records import s3_object
from sensors.filtering.content import Content

_FILES = frozenset({"file", "sftp", "hdfs"})


def about(content: Content) -> str:
    """The object's key where the payload is S3-shaped, the path where it tells of a file, else the event's id."""
    found = s3_object(content)
    if found is not None:
        return found.key
    event = content.event
    if event.type in _FILES and isinstance(event.data, dict) and isinstance(name := event.data.get("name"), str):
        return name
    return event.id
