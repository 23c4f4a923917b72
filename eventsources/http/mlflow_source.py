"""The mlflow source, running: asks the registry, tells what has changed, and remembers what it has told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import anyio
from anyio.abc import TaskStatus

from eventsources.duration import seconds
from eventsources.http.answers import Reply
from eventsources.http.doorway import Beside, Doorway, Taken
from eventsources.http.hooks import Forge, Keeper, hook_url
from eventsources.http.mlflow import EVENTS, Mlflow
from eventsources.http.mlflow_changes import Change, Version, changes_of_aliases, changes_of_version
from eventsources.http.mlflow_client import MlflowClient
from eventsources.http.request import Request
from eventsources.http.signatures import check_fresh, check_standard
from eventsources.port import SourceContext, SourceState
from eventsources.trying import keep_trying
from retrain.events import Event, JsonValue, format_time
from retrain.manifests.argo import Shape

VERSIONS, MODELS, BEGUN = "versions", "models", "begun"
"""Scopes of what is remembered."""
WALK = 500


class MlflowSource:
    """One entry of `spec.mlflow`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Mlflow)
        self._spec = spec
        self._context = context
        self._wanted = frozenset(spec.events or EVENTS)
        self._names = frozenset(one for one in spec.models if not one.endswith("*"))
        self._begins = tuple(one[:-1] for one in spec.models if one.endswith("*"))
        self._hint = anyio.Event()
        self._doorway = None
        if spec.webhook is not None:
            self._doorway = Doorway(spec.webhook, context, self._take, needs=(spec.webhook_secret,))

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        async def polling() -> None:
            await keep_trying(self._context, lambda: self._poll(task_status))

        if self._doorway is None:
            await polling()
        else:
            await self._doorway.run(task_status=task_status, beside=lambda: self._beside(polling))

    async def _beside(self, polling: Beside) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(polling)
            hook = self._spec.webhook
            if hook is not None and hook.url:
                url = hook_url(hook.url, hook.endpoint)

                async def connect() -> Forge:
                    return MlflowClient.connect(self._spec, self._context, url)

                delete = self._spec.delete_hook_on_finish
                tasks.start_soon(Keeper(self._context, url, ("registry",), connect, delete=delete).run)

    async def _take(self, request: Request) -> Taken:
        """The webhook: proven, and then no more than a hint. What it says is found by asking."""
        secret = self._doorway.secret(self._spec.webhook_secret) if self._doorway is not None else ""
        timestamp, delivery = request.one("x-mlflow-timestamp"), request.one("x-mlflow-delivery-id")
        # MLflow's secret is the key as it stands, also where it begins with whsec_.
        check_standard(request.one("x-mlflow-signature"), secret.encode(), delivery, timestamp, request.body)
        check_fresh(timestamp, self._context.clock.now())
        self._hint.set()
        return Reply(200)

    async def _poll(self, task_status: TaskStatus[None]) -> None:
        client = MlflowClient.connect(self._spec, self._context)
        every = seconds(self._spec.every)
        listens = False
        try:
            while True:
                self._hint = anyio.Event()
                await self._look(client)
                if not listens:
                    listens = True
                    self._context.status.listening(self._context.status.state().note)
                    task_status.started()
                with anyio.move_on_after(every):
                    await self._hint.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await client.close()

    async def _look(self, client: MlflowClient) -> None:
        """One look at everything: versions first, so that an alias is told after the version that it names."""
        memory = self._context.checkpoints
        begun = BEGUN in await memory.get(BEGUN, [BEGUN])
        quiet = not begun and self._spec.existing == "skip"
        versions: set[str] = set()
        async for page in client.versions():
            found = {_place(one): one for one in page if self._means(one.name)}
            versions |= found.keys()
            await self._compare_versions(found, quiet)
        models: set[str] = set()
        async for page in client.aliases():
            named = {name: aliases for name, aliases in page.items() if self._means(name)}
            models |= named.keys()
            await self._compare_aliases(named, quiet)
        if begun:
            await self._forget_versions(client, versions)
            await self._forget_models(client, models)
        else:
            await memory.save(BEGUN, {BEGUN: True})

    async def _compare_versions(self, found: Mapping[str, Version], quiet: bool) -> None:
        known = await self._context.checkpoints.get(VERSIONS, list(found))
        changes: list[Change] = []
        records: dict[str, JsonValue] = {}
        for place, version in found.items():
            told, record = changes_of_version(known.get(place), version)
            changes += told
            if told:
                records[place] = record
        await self._tell(changes, VERSIONS, records, quiet)

    async def _compare_aliases(self, found: Mapping[str, Mapping[str, str]], quiet: bool) -> None:
        known = await self._context.checkpoints.get(MODELS, list(found))
        changes: list[Change] = []
        records: dict[str, JsonValue] = {}
        for model, aliases in found.items():
            told, record = changes_of_aliases(known.get(model), model, aliases)
            changes += told
            if told:
                records[model] = record
        await self._tell(changes, MODELS, records, quiet)

    async def _tell(self, changes: list[Change], scope: str, records: dict[str, JsonValue], quiet: bool) -> None:
        """First the bus, then the memory: a crash between them tells the same again, under the same ids."""
        wanted = [self._event(change) for change in changes if change.event in self._wanted]
        if wanted and not quiet:
            await self._context.deliver(wanted)
        if records:
            await self._context.checkpoints.save(scope, records)

    def _event(self, change: Change) -> Event:
        happened = change.time or self._context.clock.now()
        data = {"entity": change.entity, "action": change.action, "timestamp": format_time(happened)}
        return self._context.event(change.thing, {**data, "data": change.data}, time=change.time)

    async def _forget_versions(self, client: MlflowClient, there: set[str]) -> None:
        async for place, _ in self._walk(VERSIONS):
            if place not in there:
                name, _, version = place.rpartition("/")
                if not await client.has_version(name, version):  # it may have been between two pages
                    await self._context.checkpoints.forget(VERSIONS, [place])

    async def _forget_models(self, client: MlflowClient, there: set[str]) -> None:
        # The number of its changes is kept: another model of the same name goes on counting, so no id comes twice.
        async for model, known in self._walk(MODELS):
            if model not in there and known.get("a") and not await client.has_model(model):
                await self._compare_aliases({model: {}}, quiet=False)

    async def _walk(self, scope: str) -> AsyncIterator[tuple[str, JsonValue]]:
        last = ""
        while page := await self._context.checkpoints.after(scope, last, WALK):
            for name, known in page.items():
                yield name, known
                last = max(last, name)

    def _means(self, model: str) -> bool:
        if not (self._names or self._begins):
            return True
        return model in self._names or bool(self._begins and model.startswith(self._begins))


def _place(version: Version) -> str:
    return f"{version.name}/{version.version}"
