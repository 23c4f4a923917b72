"""Who runs when: places, cores, memory and devices shared by the pods of many runs."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.local.demand import STEPS, pod_demand
from pipelines.local.machine import GPU, Capacity, SlotsSettings, machine
from pipelines.local.slots import PATIENCE, Grant, Slots, check_fits
from retrain.errors import ConfigError
from tests.unit.test_pod_images import leaf, plan


def capacity(steps: float = 4, cpu: float = 4, gpus: int = 4) -> Capacity:
    devices = {GPU: tuple(str(number) for number in range(gpus))}
    return Capacity({STEPS: steps, "cpu": cpu, "memory": 8e9, GPU: float(gpus)}, devices, frozenset({"cpu"}))


def asking(**requests: Any) -> dict[str, Any]:
    return {"resources": {"requests": {name.replace("gpu", GPU): value for name, value in requests.items()}}}


def test_a_pod_asks_for_its_containers_together_or_its_largest_init_container() -> None:
    template = {
        "container": {"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 2, GPU: 1}}},
        "sidecars": [{"name": "s", **asking(cpu=1, memory="1Gi")}],
        "initContainers": [{"name": "i", **asking(cpu=4)}],
    }
    assert pod_demand(template) == {"cpu": 4.0, GPU: 1.0, "memory": 2.0**30}


@pytest.mark.parametrize("resources", [{"cpu": "lots"}, {GPU: "500m"}, {GPU: -1}])
def test_a_quantity_that_is_none_is_refused(resources: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="resources: "):
        pod_demand({"container": {"resources": {"limits": resources}}})


def test_what_is_not_declared_is_what_the_machine_has_and_refuses_nobody() -> None:
    here = machine(SlotsSettings(), 3)
    assert here.share({"cpu": 10_000.0, "memory": 1e18}) == {
        STEPS: 1.0,
        "cpu": here.amounts["cpu"],
        "memory": here.amounts["memory"],
    }
    with pytest.raises(ConfigError, match=r"asks for 1 of amd.com/gpu and there are 0 here \(pipelines.slots"):
        here.share({"amd.com/gpu": 1.0})


def test_what_is_declared_is_firm() -> None:
    here = machine(SlotsSettings.of({"cpu": 2, "memory": "1Gi", "gpus": 2, "amd.com/gpu": "1"}), 3)
    assert here.devices == {GPU: ("0", "1"), "amd.com/gpu": ("0",)}
    with pytest.raises(ConfigError, match="asks for 3 of cpu and there are 2"):
        here.share({"cpu": 3.0})


@pytest.mark.parametrize("given", [{"disk": 3}, {"gpus": "many"}, {"gpus": 1.5}, {"cpu": "two"}])
def test_slots_that_mean_nothing_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"pipelines\.slots"):
        machine(SlotsSettings.of(given), 1)


def test_what_can_never_fit_is_told_before_anything_starts() -> None:
    big = leaf("big", "any")
    big["container"] |= asking(gpu=8)
    later = leaf("later", "any")
    later["container"] |= asking(cpu="{{inputs.parameters.cpu}}")
    main = {"name": "main", "steps": [[{"name": "a", "template": "big"}, {"name": "b", "template": "later"}]]}
    told = check_fits(plan(main, big, later), capacity())
    assert told == [
        "template 'big': it asks for 8 of nvidia.com/gpu and there are 4 here (pipelines.slots says how many)"
    ]


async def test_a_step_waits_for_its_gpus_and_gets_them_by_number() -> None:
    slots = Slots(capacity())
    one = await slots.acquire("r", {GPU: 3.0})
    got: list[Grant] = []

    async def wait() -> None:
        got.append(await slots.acquire("r", {GPU: 2.0}))

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert got == []
        assert slots.waiting() == 1
        slots.release(one)
    assert got[0].devices == {GPU: ("0", "1")}
    assert slots.in_use()[GPU] == (2.0, 4.0)


async def test_a_pod_found_again_keeps_its_devices_from_others() -> None:
    slots = Slots(capacity())
    found = slots.take_again("r", {GPU: 2.0}, {GPU: ("1", "2")})
    assert (await slots.acquire("s", {GPU: 2.0})).devices == {GPU: ("0", "3")}
    slots.release(found)
    assert (await slots.acquire("s", {GPU: 2.0})).devices == {GPU: ("1", "2")}


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    slots = Slots(capacity(steps=1))
    held = await slots.acquire("r", {})
    with anyio.move_on_after(0):
        await slots.acquire("r", {})
    assert slots.waiting() == 0
    slots.release(held)
    assert (await slots.acquire("r", {})).run_id == "r"


async def _drain(slots: Slots, wanted: list[tuple[str, dict[str, float]]]) -> list[str]:
    """All of these ask at once, in this order; the runs in the order of their turns. Each holds it for a moment."""
    turns: list[str] = []

    async def one(run_id: str, demand: dict[str, float]) -> None:
        grant = await slots.acquire(run_id, demand)
        turns.append(run_id)
        await anyio.wait_all_tasks_blocked()
        slots.release(grant)

    async with anyio.create_task_group() as group:
        for run_id, demand in wanted:
            group.start_soon(one, run_id, demand)
    return turns


async def test_runs_take_turns_whoever_came_first_with_many() -> None:
    turns = await _drain(Slots(capacity(steps=2)), [("many", {})] * 20 + [("late", {})] * 3)
    assert max(index for index, run_id in enumerate(turns) if run_id == "late") < 9


async def test_a_large_step_among_many_small_ones_is_not_starved() -> None:
    slots = Slots(capacity(steps=8, cpu=4))
    order: list[str] = []

    async def small(number: int) -> None:
        grant = await slots.acquire(f"small-{number % 5}", {"cpu": 1.0})
        order.append("small")
        for _ in range(number % 3 + 1):
            await anyio.lowlevel.checkpoint()
        slots.release(grant)

    async def large() -> None:
        slots.release(await slots.acquire("large", {"cpu": 4.0}))
        order.append("large")

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(small, number)
        group.start_soon(large)
        for number in range(400):
            group.start_soon(small, number)
    assert order.index("large") < 4 * PATIENCE


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.fixed_dictionaries({}, optional={"cpu": st.integers(0, 4), GPU: st.integers(0, 4)}),
            st.integers(0, 3),
        ),
        max_size=40,
    )
)
async def test_no_more_is_given_than_there_is_and_everyone_has_a_turn(
    wanted: list[tuple[str, dict[str, int], int]],
) -> None:
    slots = Slots(capacity(steps=3))
    busy: set[str] = set()
    served = 0

    async def one(run_id: str, demand: dict[str, int], rounds: int) -> None:
        nonlocal served
        grant = await slots.acquire(run_id, {name: float(many) for name, many in demand.items() if many})
        mine = grant.devices.get(GPU, ())
        assert len(mine) == demand.get(GPU, 0)
        assert busy.isdisjoint(mine)
        busy.update(mine)
        assert all(used <= there or math.isclose(used, there) for used, there in slots.in_use().values())
        for _ in range(rounds):
            await anyio.lowlevel.checkpoint()
        busy.difference_update(mine)
        slots.release(grant)
        served += 1

    async with anyio.create_task_group() as group:
        for request in wanted:
            group.start_soon(one, *request)
    assert served == len(wanted)
    assert all(used == 0 for used, _ in slots.in_use().values())
