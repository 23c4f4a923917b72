"""What is different about how a Sensor decides. The words are those of docs/compatibility.md."""

from __future__ import annotations

from typing import Any

from retrain.app.migrating.facts.fact import Fact, Found, Verdict
from retrain.app.migrating.facts.pods import of_pods
from retrain.errors import ConfigError
from retrain.expressions.conditions import Condition, all_of, compile_condition

AS_IS, BETTER, DIFFERS = Verdict.AS_IS, Verdict.BETTER, Verdict.DIFFERS

CRASH = ("a missing dependency in a payload crashes the sensor", "the firing is a dead letter with that reason")
OWN_POD = (
    "a sensor's `template` shapes its pod: variables, volumes, placement",
    "there is no such pod; what of it an action needs, the platform's own pod has",
)
ACCOUNT = (
    "a sensor acts with the rights of its `template.serviceAccountName`",
    "the platform acts with its own: what that account may do must be granted to it",
)
WILDCARDS = ("wildcards in `eventSourceName` and `eventName` match only on STAN", "`*` and `?` match everywhere")


def condition_of(found: Found) -> Condition | None:
    """When the trigger around a value fires; None where that cannot be read."""
    spec: Any = found.body["spec"]
    names = [str(one.get("name") or "") for one in spec.get("dependencies") or () if isinstance(one, dict)]
    template: Any = (found.up(3) or {}).get("template") or {}
    written = template.get("conditions")
    if not written:
        return all_of(names)
    try:
        return compile_condition(str(written))
    except ConfigError:
        return None


def _joins(found: Found) -> bool:
    """One event may not be enough: what came is kept until the rest is there."""
    condition = condition_of(found)
    return condition is not None and condition.joins


def _either(found: Found) -> bool:
    condition = condition_of(found)
    return condition is not None and len(condition.names) > 1 and any(condition.holds({n}) for n in condition.names)


def _may_be_missing(found: Found) -> bool:
    """A parameter of a dependency that a firing may lack, and nothing stands in for it."""
    source: Any = found.value
    condition = condition_of(found)
    name = source.get("dependencyName") if isinstance(source, dict) else None
    if condition is None or name not in condition.names or source.get("value") is not None:
        return False
    return condition.holds(set(condition.names) - {name})


def _no_zone(found: Found) -> bool:
    return isinstance(found.value, dict) and not found.value.get("timezone")


def _pattern(found: Found) -> bool:
    return "*" in str(found.value) or "?" in str(found.value)


def _asks_the_time(found: Found) -> bool:
    return "now" in str(found.value)


def _underscored(found: Found) -> bool:
    """Two names of dependencies that Argo Events takes for one."""
    names = [str(one.get("name")) for one in found.body["spec"].get("dependencies") or () if isinstance(one, dict)]
    return len({name.replace("-", "_") for name in names}) < len(set(names))


SENSORS: tuple[Fact, ...] = (
    Fact(
        "an-edit-keeps-what-waits",
        BETTER,
        "spec",
        "a new or changed sensor begins at the end of the log; what waited may be lost",
        "a new one does too (`start: earliest` reads what was there before); "
        "a changed one keeps its place and what waits",
        general=True,
    ),
    Fact(
        "no-second-time",
        BETTER,
        "spec",
        "a redelivered event acts again",
        "it is a duplicate, and on record as one",
        general=True,
    ),
    Fact(
        "filtered-on-record",
        BETTER,
        "spec",
        "an event with a failing filter is dropped, with a line in a debug log",
        "the same event does not count, and the reason is on record",
        general=True,
    ),
    Fact(
        "halves",
        BETTER,
        "spec.triggers.[].template",
        "one waiting half per dependency and trigger in a bucket of the bus; "
        "a crash between two writes leaves a stale half",
        "the state is written with the firing, in one transaction",
        when=_joins,
    ),
    Fact("missing-half", BETTER, "spec.triggers.[].template.*.payload.[].src", *CRASH, when=_may_be_missing),
    Fact("missing-half", BETTER, "spec.triggers.[].template.http.dynamicHeaders.[].src", *CRASH, when=_may_be_missing),
    Fact(
        "twice-by-or",
        BETTER,
        "spec.triggers.[].template.conditions",
        "one event for two sides of an `||` acts twice",
        "once",
        when=_either,
    ),
    Fact(
        "one-name",
        BETTER,
        "spec.triggers.[].template.conditions",
        "`a-b` and `a_b` are one name in conditions",
        "two",
        when=_underscored,
    ),
    Fact("wildcards", BETTER, "spec.dependencies.[].eventName", *WILDCARDS, when=_pattern),
    Fact("wildcards", BETTER, "spec.dependencies.[].eventSourceName", *WILDCARDS, when=_pattern),
    Fact(
        "reset-zone",
        DIFFERS,
        "spec.triggers.[].template.conditionsReset.[].byTime",
        "`conditionsReset` goes by the pod's time zone where none is written",
        "UTC, as upstream's pages say",
        when=_no_zone,
    ),
    Fact(
        "template-now",
        DIFFERS,
        "spec.dependencies.[].filters.data.[].template",
        "a filter's template that asks for `now` gets the machine's time",
        "the event's time",
        when=_asks_the_time,
    ),
    Fact("account", AS_IS, "spec.template.serviceAccountName", *ACCOUNT),
    *of_pods(OWN_POD, alone={"metadata", "serviceAccountName"}),
)
