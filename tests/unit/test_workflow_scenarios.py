"""What Argo's controller does, as small workflows with scripted answers: see `scenarios/*.yaml`.

Each is played twice: as it is, and with a platform that dies after every step and comes back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.errors import ConfigError
from tests.unit.workflow_play import T0, Life, Play, again, begun, facts_of, fits, named, news_of

FOLDER = Path(__file__).with_name("scenarios")
SCENARIOS = [
    (file.stem, one) for file in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(file.read_text()) if one
]
KNOWN = {
    "name", "section", "workflow", "catalog", "answers", "parameters", "requests", "moments", "expect", "then", "runs",
    "invalid", "no crash",
}  # fmt: skip
EXPECTED = {
    "phase", "message", "outputs", "artifacts", "nodes", "absent", "only", "started", "most", "spans", "ended",
    "stopped", "refused",
}  # fmt: skip


def test_there_are_many_scenarios_each_with_a_name_of_its_own_and_the_section_it_is_from() -> None:
    names = [one["name"] for _, one in SCENARIOS]

    assert len(SCENARIOS) >= 150
    assert len(names) == len(set(names))
    assert [one["name"] for _, one in SCENARIOS if not re.match(r"(2\.\d+|1\.\d|seen) ", str(one["section"]))] == []
    assert [one["name"] for _, one in SCENARIOS if one.keys() - KNOWN] == []


@pytest.mark.parametrize("crash", [False, True], ids=["whole", "crashing"])
@pytest.mark.parametrize("scenario", [pytest.param(one, id=f"{file}:{one['name']}") for file, one in SCENARIOS])
async def test_the_workflow_goes_as_on_argo(scenario: dict[str, Any], crash: bool) -> None:
    if "invalid" in scenario:
        with pytest.raises(ConfigError, match=scenario["invalid"]):
            first_of(scenario)
        return
    if crash and "no crash" in scenario:
        pytest.skip(scenario["no crash"])
    play = Play(crash)
    life = first_of(scenario)
    play.enter(life)
    for other in scenario.get("runs", ()):
        play.enter(other_of(scenario, other))

    for at, what in moments_of(scenario):
        await play.on(at)
        if "do" in what:
            play.tell(what.get("run", "w"), news_of(what))
        else:
            check_all(play, what["expect"])
    await play.on()

    check_all(play, scenario.get("expect", {}))
    for after in scenario.get("then", ()):
        life = again(play, life, after, after.get("answers", {}))
        life.first = 0
        play.enter(life)
        await play.on()
        check(life, after["expect"])


def first_of(scenario: Mapping[str, Any]) -> Life:
    parameters = {name: str(value) for name, value in scenario.get("parameters", {}).items()}
    return begun(scenario["workflow"], "w", scenario.get("catalog", ()), scenario.get("answers", {}), 0, parameters)


def other_of(scenario: Mapping[str, Any], other: Mapping[str, Any]) -> Life:
    workflow = {**scenario["workflow"], **other.get("workflow", {})}
    return begun(workflow, other["name"], scenario.get("catalog", ()), other.get("answers", {}), other.get("at", 0))


def moments_of(scenario: Mapping[str, Any]) -> list[tuple[float, Mapping[str, Any]]]:
    """Requests and looks, in order of time; at the same moment as written, looks first."""
    looks = [(float(one["at"]), one) for one in scenario.get("moments", ())]
    asked = [(float(one["at"]), one) for one in scenario.get("requests", ())]
    return sorted([*looks, *asked], key=lambda one: one[0])


def check_all(play: Play, expect: Mapping[str, Any]) -> None:
    others = expect.get("runs", {})
    for name, wanted in others.items():
        check(play.lives[name], wanted)
    check(play.lives["w"], {key: value for key, value in expect.items() if key != "runs"})


def check(life: Life, expect: Mapping[str, Any]) -> None:
    """Every fact that is named, and no other."""
    assert not expect.keys() - EXPECTED
    found = {node.name: facts_of(life, node) for node in life.run.nodes.values()}
    names = sorted(found)
    wrong: dict[str, Any] = {}
    for name, wanted in expect.get("nodes", {}).items():
        if name not in found:
            wrong[name] = f"is not there; there are {names}"
            continue
        facts = {"phase": wanted} if isinstance(wanted, str) else wanted
        wrong |= {f"{name} {key}": (found[name][key], "instead of", value) for key, value in facts.items()
                  if not same(found[name][key], value)}  # fmt: skip
    for name in expect.get("absent", ()):
        if any(fits(name, one) for one in names):
            wrong[name] = f"is there, of {names}"
    if "only" in expect and sorted(expect["only"]) != names:
        wrong["only"] = names
    assert wrong == {}
    whole: dict[str, Any] = {
        "phase": str(life.run.phase), "message": named(life, life.run.message),
        "outputs": dict(life.run.state.exports), "artifacts": sorted(life.run.state.artifacts),
        "started": life.started, "most": life.most, "stopped": life.stopped, "refused": life.refused,
        "ended": None if life.run.finished_at is None else (life.run.finished_at - T0).total_seconds(),
    }  # fmt: skip
    for key in expect.keys() & whole.keys():
        assert same(whole[key], expect[key]), (key, whole[key], "instead of", expect[key])
    for name, span in expect.get("spans", {}).items():
        assert list(life.spans[name]) == span, (name, life.spans)


def same(got: Any, wanted: Any) -> bool:
    """Equal; a text with `*` is a pattern, and a text within slashes a regular expression."""
    if isinstance(wanted, str) and isinstance(got, str):
        if len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
            return re.search(wanted[1:-1], got) is not None
        return fits(wanted, got)
    if isinstance(wanted, Mapping) and isinstance(got, Mapping):
        return got.keys() == wanted.keys() and all(same(got[key], value) for key, value in wanted.items())
    return bool(got == wanted)
