"""Webhooks that are registered with a forge by its API, and kept there as long as a source runs.

A hook that somebody removes or changes comes back within CHECK_S. What a forge refuses is said in the source's state
and tried again; the endpoint is open meanwhile, for a hook may have been made by hand.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import anyio

from eventsources.port import SourceContext
from retrain.errors import RetrainError
from retrain.log import get_logger

log = get_logger()

CHECK_S = 60.0
RETRY_S, RETRY_MAX_S = 2.0, 60.0
START_S = 0.5
"""Replicas that start together would each find no hook, and make one: they wait a random time up to this."""
FINISH_S = 3.0


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook as a forge has it. `right`: events and settings are what they should be."""

    id: str
    url: str
    right: bool


class Forge(Protocol):
    """A forge's API. A target is a repository, a project or a group, as its path in the API's URLs.

    `update` gives the hook's id afterwards: of forges that cannot change a hook's secret it is another hook.
    """

    async def hooks(self, target: str) -> list[Hook]: ...
    async def create(self, target: str) -> str: ...
    async def update(self, target: str, hook_id: str) -> str: ...
    async def delete(self, target: str, hook_id: str) -> None: ...
    async def close(self) -> None: ...


class Keeper:
    """Keeps one hook with `url` on each target. `connect` makes the forge's client; secrets are read there."""

    def __init__(
        self,
        context: SourceContext,
        url: str,
        targets: Sequence[str],
        connect: Callable[[], Awaitable[Forge]],
        *,
        delete: bool,
    ) -> None:
        self._context = context
        self._url = url
        self._targets = targets
        self._connect = connect
        self._delete = delete
        self._ids: dict[str, str] = {}

    async def run(self) -> None:
        """Until cancelled; then the hooks are removed, where that is wanted."""
        try:
            await anyio.sleep(random.uniform(0, START_S))  # noqa: S311 - no secret hangs on it
            retry = RETRY_S
            while True:
                reasons = await self._ensure_all()
                await anyio.sleep(retry if reasons else CHECK_S)
                retry = min(retry * 2, RETRY_MAX_S) if reasons else RETRY_S
        finally:
            if self._delete and self._ids:
                with anyio.move_on_after(FINISH_S, shield=True):
                    await self._remove_all()

    async def _ensure_all(self) -> list[str]:
        """What is wrong now, one reason for each target; also the source's note."""
        reasons: list[str] = []
        before = self._context.status.state().note
        try:
            forge = await self._connect()
        except RetrainError as error:
            reasons.append(str(error))
        else:
            try:
                for target in self._targets:
                    try:
                        await self._ensure(forge, target)
                    except RetrainError as error:
                        reasons.append(f"the hook of {target}: {error}")
            finally:
                await forge.close()
        note = "; ".join(reasons) or None
        for reason in reasons:
            self._context.status.failed(reason)
        if note != before:
            self._context.status.listening(note)
            if note is not None:
                cleaned = self._context.status.clean(note)
                log.warning("webhook.hook_missing", source=self._context.status.name, reason=cleaned)
        return reasons

    async def _ensure(self, forge: Forge, target: str) -> None:
        name = self._context.status.name
        found = [hook for hook in await forge.hooks(target) if hook.url == self._url]
        if not found:
            self._ids[target] = await forge.create(target)
            log.info("webhook.hook_created", source=name, target=target)
            return
        # No forge tells a hook's secret: at the first sight it is written again, so that it is ours for sure.
        hook = next((one for one in found if one.id == self._ids.get(target)), found[0])
        hook_id = hook.id
        if not hook.right or target not in self._ids:
            hook_id = await forge.update(target, hook.id)
            log.info("webhook.hook_updated", source=name, target=target)
        self._ids[target] = hook_id

    async def _remove_all(self) -> None:
        name = self._context.status.name
        try:
            forge = await self._connect()
            async with anyio.create_task_group() as tasks:
                for target, hook_id in self._ids.items():
                    tasks.start_soon(_remove, forge, target, hook_id, name)
            await forge.close()
        except RetrainError as error:
            log.warning("webhook.hook_left", source=name, error=self._context.status.clean(str(error)))


async def _remove(forge: Forge, target: str, hook_id: str, name: str) -> None:
    try:
        await forge.delete(target, hook_id)
        log.info("webhook.hook_deleted", source=name, target=target)
    except RetrainError as error:
        log.warning("webhook.hook_left", source=name, target=target, error=str(error))


def hook_url(url: str, endpoint: str) -> str:
    """The URL that is registered: what the user gave, and the endpoint's path behind it, as upstream joins them."""
    return f"{url.rstrip('/')}/{endpoint.lstrip('/')}"
