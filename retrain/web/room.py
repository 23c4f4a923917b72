"""A route of the API that is raw ASGI. The door goes there at once; so it has a description and methods like others."""

from __future__ import annotations

from starlette.responses import Response

from retrain.serving import App, Receive, Scope, Send


class Room(Response):
    """The answer that an application gives."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
