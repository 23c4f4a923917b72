"""`synchronization`: mutexes and semaphores that a node or the whole workflow must hold before it runs.

Pure: what is wanted goes out as a LockWish, what became of it comes in as LockNews. All locks of a wish are granted
together or not at all. Whoever holds them gives them back when its node, or the run, ends.

Source: workflow/sync of Argo Workflows; names as there: `ns/Mutex/name`, `ns/ConfigMap/name/key`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pipelines.core.happenings import Lock, LockNews, LockWish
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Plan, config_map_value
from pipelines.core.retry import duration_s
from pipelines.core.state import Frame
from pipelines.core.tree import Tree
from pipelines.core.walk import Walk
from retrain.errors import ConfigError


def locks_of(plan: Plan, synchronization: Mapping[str, Any] | None) -> tuple[Lock, ...]:
    """The locks that a `synchronization` names, in the order written.

    Raises:
        ConfigError: the limit of a semaphore is not there or no whole number.
    """
    wanted = synchronization or {}
    found: list[Lock] = []
    for one in [*([wanted["semaphore"]] if wanted.get("semaphore") else ()), *(wanted.get("semaphores") or ())]:
        found.append(_semaphore(plan, one))
    for one in [*([wanted["mutex"]] if wanted.get("mutex") else ()), *(wanted.get("mutexes") or ())]:
        kind = "Database/Mutex" if one.get("database") else "Mutex"
        found.append(Lock(f"{one.get('namespace') or plan.namespace}/{kind}/{one.get('name') or ''}"))
    return tuple(dict.fromkeys(found))


def _semaphore(plan: Plan, one: Mapping[str, Any]) -> Lock:
    namespace = one.get("namespace") or plan.namespace
    if one.get("database"):
        raise ConfigError("synchronization: a semaphore whose limit is in a database is not done by the local engine; "
                          "use configMapKeyRef")  # fmt: skip
    ref: Mapping[str, Any] = one.get("configMapKeyRef") or {}
    name, key = str(ref.get("name") or ""), str(ref.get("key") or "")
    text = config_map_value({"configMapKeyRef": ref}, plan.catalog, _nothing)
    try:
        limit = int(text)
    except ValueError:
        raise ConfigError(f"ConfigMap '{name}': key '{key}' is '{text}', and the limit of a semaphore is a whole number"
                          ) from None  # fmt: skip
    return Lock(f"{namespace}/ConfigMap/{name}/{key}", limit)


def _nothing(_tag: str) -> None:
    return None


def wish_of(plan: Plan, holder: str, synchronization: Mapping[str, Any] | None) -> LockWish | None:
    """What a node, or the run (`holder` is empty), wants to hold; None for nothing."""
    found = locks_of(plan, synchronization)
    return LockWish(holder, found, int(plan.spec.get("priority") or 0), plan.created) if found else None


def wanted(walk: Walk, template: Mapping[str, Any]) -> bool:
    """Whether a template has locks.

    Raises:
        ConfigError: they cannot be read.
    """
    return bool(template.get("synchronization")) and bool(locks_of(walk.plan, template["synchronization"]))


def ask(walk: Walk, frame: Frame, node: Node) -> bool:
    """Ask for the locks of a node that does not hold them yet. False: it has all that it needs."""
    state = walk.state
    if node.id in state.held:
        return False
    if node.id not in state.wishes:
        wish = wish_of(walk.plan, node.id, frame.template.get("synchronization"))
        if wish is None:
            return False
        state.wishes[node.id] = wish
        walk.acquire[node.id] = wish
        wait_at_most(walk, frame, node)
    return True


def keep(walk: Walk, frame: Frame) -> None:
    """Note that a node which runs holds its locks: they are given back when it ends."""
    wish = wish_of(walk.plan, frame.node_id, frame.template.get("synchronization"))
    if wish is not None:
        walk.state.held[frame.node_id] = wish


def wait_at_most(walk: Tree, frame: Frame, node: Node) -> None:
    """`timeout` and `pendingTimeout` count while a node is Pending, too."""
    limits = [duration_s(frame.template[key]) for key in ("timeout", "pendingTimeout") if frame.template.get(key)]
    if limits and node.started_at is not None:
        walk.set_timer(node.id, node.started_at + timedelta(seconds=min(limits)))


def granted(walk: Walk, news: LockNews) -> bool:
    """Note that a node holds its locks. False: it did not ask."""
    wish = walk.state.wishes.pop(news.holder, None)
    if wish is None:
        return False
    walk.state.held[news.holder] = wish
    walk.clear_timer(news.holder)
    node = walk.nodes.get(news.holder)
    if node is not None and (node.message or node.locks):
        walk.edit(node.id, message="", locks=None)
    return True


def refused(walk: Walk, news: LockNews) -> None:
    """Show what a node waits for."""
    node = walk.nodes.get(news.holder)
    if node is None or news.holder not in walk.state.wishes or node.phase is not Phase.Pending:
        return
    message = waiting_message(news)
    if node.message != message:
        walk.edit(node.id, message=message, locks={"waiting": news.waiting_for})


def waiting_message(news: LockNews) -> str:
    return f"Waiting for {news.waiting_for} lock. Lock status: {news.status}"
