"""`memoize`: outputs that are known already stand for a node that would give them again.

Pure: the question goes out as a MemoWish, the answer comes in as MemoNews, what is new goes out as a Memo. The real
outputs of `steps` and `dag` are remembered too; upstream v3.7 remembers none for them, which is a slip there.

Source: `executeTemplate` and workflow/controller/cache of Argo Workflows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipelines.core.happenings import MemoNews, MemoWish
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.retry import duration_s
from pipelines.core.state import Frame
from pipelines.core.walk import Walk
from retrain.errors import ConfigError

_KEY = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")


def wanted(template: Mapping[str, Any]) -> bool:
    """Whether a template asks."""
    return bool(template.get("memoize"))


def wish_of(frame: Frame) -> MemoWish:
    """The question of a node.

    Raises:
        ConfigError: its key or its age cannot be read.
    """
    said: Mapping[str, Any] = frame.template["memoize"]
    key = str(said.get("key") or "")
    cache = str(((said.get("cache") or {}).get("configMap") or {}).get("name") or "")
    if not _KEY.fullmatch(key):
        raise ConfigError(
            f"invalid cache key {key!r}: it must consist of letters, digits and '-', and not begin with '-'"
        )
    if not cache:
        raise ConfigError("memoize: cache.configMap.name is required")
    try:
        age = duration_s(said["maxAge"]) if said.get("maxAge") else None
    except ConfigError as error:
        raise ConfigError(f"invalid maxAge: {error}") from error
    return MemoWish(frame.node_id, cache, key, age)


def ask(walk: Walk, frame: Frame, node: Node) -> bool:
    """Ask once. False: there is nothing to ask, or the answer is there."""
    if not wanted(frame.template) or node.memoized is not None:
        return False
    if node.id not in walk.state.lookups:
        wish = wish_of(frame)
        walk.state.lookups[node.id] = walk.look_up[node.id] = wish
    return True


def answered(walk: Walk, frame: Frame, news: MemoNews) -> bool:
    """Take the answer. True: it is known, and the node has ended."""
    wish = walk.state.lookups.pop(frame.node_id)
    hit = news.outputs is not None
    walk.edit(frame.node_id, memoized={"hit": hit, "key": wish.key, "cacheName": wish.cache})
    if news.outputs is not None:
        walk.complete(frame, Phase.Succeeded, outputs=Outputs.from_argo(news.outputs))
    return hit
