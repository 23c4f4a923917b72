"""What sources and sensors have alike: pods of their own, and a bus that they choose. Here one process has it all."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from retrain.app.migrating.facts.fact import Fact, Found, Verdict, Words

BUS_NAME = (
    "`eventBusName` chooses among several buses",
    "one platform has one bus: sources and sensors of all names meet on it",
)


def of_pods(words: Words, alone: Collection[str]) -> Iterator[Fact]:
    """`words`: what a `template` shapes there, and who has it here. `alone`: its fields that shape nothing."""

    def shapes(found: Found) -> bool:
        """A template with more than those."""
        return isinstance(found.value, dict) and any(found.value[name] for name in found.value.keys() - set(alone))

    yield Fact("no-pods", Verdict.DIFFERS, "spec.template", *words, when=shapes)
    yield Fact("one-bus", Verdict.DIFFERS, "spec.eventBusName", *BUS_NAME, when=_other_bus)


def _other_bus(found: Found) -> bool:
    return found.value not in ("", "default")
