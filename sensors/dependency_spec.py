"""Dependencies: which events a Sensor waits for, and what makes one of them count."""

from __future__ import annotations

from pydantic import Field

from retrain.manifests.argo import Shape
from sensors.decision_spec import Absent, Dedupe, OneOrMore, Window


class PayloadField(Shape):
    name: str = ""
    path: str = ""


class ExprFilter(Shape):
    """A govaluate expression over fields of the data."""

    expr: str = ""
    fields_: tuple[PayloadField, ...] = Field(default=(), alias="fields")


class DataFilter(Shape):
    """Compare what `path` (gjson) finds in the data with any of `value`. `type`: bool, number or string (RE2)."""

    path: str = ""
    type: str = ""
    value: tuple[str, ...] = ()
    comparator: str = ""
    template: str = ""


class ContextFilter(Shape):
    """Exact equality with the event's attributes. Upstream ignores id, specversion and time; so do we."""

    type: str = ""
    subject: str = ""
    source: str = ""
    datacontenttype: str = ""
    id: str = ""
    specversion: str = ""
    time: str | None = None


class TimeFilter(Shape):
    """The time of day that the event's `time` must lie in: from `start` on, before `stop`, HH:MM:SS."""

    start: str = ""
    stop: str = ""
    timezone: str = ""


class Filters(Shape):
    exprs: tuple[ExprFilter, ...] = ()
    expr_logical_operator: str = ""
    data: tuple[DataFilter, ...] = ()
    data_logical_operator: str = ""
    context: ContextFilter | None = None
    time: TimeFilter | None = None
    script: str = ""


class Transform(Shape):
    jq: str = ""
    script: str = ""


class Dependency(Shape):
    """Events of one name from one source. `key`, `dedupe`, `window` and `absent` are of retrain.dev/v1."""

    name: str = ""
    event_source_name: str = ""
    event_name: str = ""
    filters: Filters | None = None
    filters_logical_operator: str = ""
    transform: Transform | None = None
    key: OneOrMore | None = None
    dedupe: Dedupe | None = None
    window: Window | None = None
    absent: Absent | None = None


OURS = ("key", "dedupe", "window", "absent")
"""Fields of a dependency that only retrain.dev/v1 has."""
