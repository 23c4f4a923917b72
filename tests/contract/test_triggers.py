"""What every kind of trigger promises, whatever it does."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrain.errors import Permanent
from retrain.store import open_store
from triggers import KINDS, Firing, StoreTrigger, Tools, Trigger

ROOT = Path(__file__).parents[2]

EXAMPLES: dict[str, dict[str, object]] = {
    "http": {"url": "http://127.0.0.1:9/"},
    "log": {},
    "k8s": {"resource": {"kind": "Workflow", "metadata": {"name": "x"}, "spec": {"entrypoint": "main"}}},
    "argoWorkflow": {"resource": {"kind": "Workflow", "metadata": {"name": "x"}, "spec": {"entrypoint": "main"}}},
    "promotion": {"promotion": "digits", "candidate": {}},
    "retrain": {"eventName": "features", "payload": {}},
    "nats": {"url": "nats://127.0.0.1:9", "subject": "models.new", "payload": {}},
    "kafka": {"url": "127.0.0.1:9", "topic": "models", "payload": {}},
    "email": {"host": "127.0.0.1", "port": 9, "from": "a@b.c", "to": ["d@e.f"], "subject": "s", "body": "b"},
    "slack": {"slackToken": {"name": "slack", "key": "token"}, "channel": "#models", "message": "m"},
    "awsLambda": {"functionName": "train", "region": "eu-central-1", "payload": {}},
}
STRICT = sorted(set(KINDS) - {"log"})
"""Kinds that refuse what they do not understand; `log` shows whatever it gets."""


def a_firing(kind: str, **more: object) -> Firing:
    return Firing("f-1", "s", "t", "", {"kind": kind, **EXAMPLES[kind], **more}, events=("e" * 32,))


def test_every_kind_has_an_example_here_and_a_part_of_its_page() -> None:
    page = (ROOT / "docs" / "triggers.md").read_text()

    assert sorted(EXAMPLES) == sorted(KINDS)
    for kind in KINDS:
        assert f"| `{kind}` |" in page


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_a_kind_opens_twice_and_acts_in_one_of_the_two_ways(kind: str) -> None:
    async with KINDS[kind](Tools()) as first, KINDS[kind](Tools()) as second:
        for one in (first, second):
            assert isinstance(one, Trigger) != isinstance(one, StoreTrigger)


async def act(kind: str, firing: Firing, path: Path) -> None:
    """Let a kind act, in the way that is its own."""
    async with KINDS[kind](Tools()) as one, open_store(path / "store.db") as store:
        if isinstance(one, StoreTrigger):
            await store.write(lambda c: one.record(c, firing, datetime.now(UTC)))
        else:
            await one.fire(firing, 1)


@pytest.mark.parametrize("kind", STRICT)
async def test_a_field_that_a_kind_does_not_know_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match=f"{kind}.surprise is not supported"):
        await act(kind, a_firing(kind, surprise=1), tmp_path)


@pytest.mark.parametrize("kind", STRICT)
async def test_an_action_with_nothing_in_it_is_refused_in_our_words(kind: str, tmp_path: Path) -> None:
    with pytest.raises(Permanent):
        await act(kind, Firing("f-1", "s", "t", "", {"kind": kind}), tmp_path)


def test_the_room_is_imported_without_the_libraries_of_single_kinds() -> None:
    """They cost a good part of a second at every start, and most platforms have no such trigger."""
    code = "import sys, triggers; print(*({'boto3', 'botocore', 'kafka', 'nats'} & set(sys.modules)))"

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert said.stdout.strip() == ""


async def test_the_log_line_of_a_large_action_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    async with KINDS["log"](Tools()) as one:
        assert isinstance(one, Trigger)

        result = await one.fire(a_firing("log", text="x" * 1_000_000), 1)

    assert result == {"logged": 1}
    printed = capsys.readouterr().out
    assert "f-1" in printed
    assert len(printed) < 10_000
