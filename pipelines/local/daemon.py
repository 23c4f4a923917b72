"""When a daemon can be used: its readiness probe, asked until it says yes."""

from __future__ import annotations

import signal
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio

from pipelines.core.happenings import Ready
from pipelines.local import process
from pipelines.local.contained import Living
from pipelines.local.podplan import Situation
from pipelines.local.probes import ADDRESS, Readiness, readiness
from pipelines.local.process import Leader
from pipelines.local.retention import remove_tree
from pipelines.local.workspace import Workspace
from retrain.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.local.pod import Pod


def probe_of(pod: Pod, main: Living) -> Readiness | None:
    """The readiness probe of a daemon; None if it has none, and can be used as soon as it runs. On a thread.

    Raises:
        ConfigError: the probe is of a kind that is not built.
    """
    contained = main.contained
    return readiness(contained.container, contained.declared, partial(_run, pod, main))


async def tell_ready(pod: Pod, main: Living, probe: Readiness | None, scope: anyio.CancelScope) -> None:
    """Report a daemon as `Ready` once it is; `scope` is cancelled at its end."""
    with scope:
        await main.life.running.wait()
        if probe is not None:
            await probe.wait()
        pod.report(Ready(pod.plan.task.node_id, ADDRESS))


async def _run(pod: Pod, main: Living, argv: tuple[str, ...]) -> int:
    """A probe's command beside the container: with its environment, and the disk as it sees it."""
    home = Workspace(pod.plan.workspace.home / "probe")
    try:
        leader = await pod.machine.thread(partial(_launch, pod, main, home, argv))
    except (ConfigError, OSError, ValueError):
        return 1
    try:
        await leader.wait()
    except anyio.get_cancelled_exc_class():
        leader.signal_group(signal.SIGKILL)
        raise
    finally:
        leader.close()
    ending = await pod.machine.thread(partial(process.ending, home.home))
    return 1 if ending is None else ending.code


def _launch(pod: Pod, main: Living, home: Workspace, argv: tuple[str, ...]) -> Leader:
    remove_tree(home.home)
    home.create()
    command = main.contained.beside(Situation(pod.machine.clock.now(), pod.devices), argv)
    return pod.machine.spawner.launch(home.home, replace(command, capture=False))
