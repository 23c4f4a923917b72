"""The page without a browser and without a running platform: the real application on a real store."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2

from retrain.app.sensing.sensing import Sensing
from retrain.app.services import Figures, Services
from retrain.app.settings import Settings
from retrain.bus import MemoryBus
from retrain.clock import SystemClock
from retrain.serving import App
from retrain.store import Store, open_store
from retrain.web import create_api, make_access, make_provider
from retrain.web.access import Access, Known
from retrain.web.door import Door
from retrain.web.keys import Keys
from retrain.web.page import create_page
from retrain.web.sessions import Sessions

PEOPLE = {"vic": ["viewer"], "eve": ["operator"], "ada": ["approver"], "root": ["admin"]}


def token_of(name: str) -> str:
    return f"token-of-{name}-0123456789"


def known() -> list[Known]:
    return [Known(n, sha256(token_of(n).encode()).hexdigest(), frozenset(roles)) for n, roles in PEOPLE.items()]


class House:
    """The door with all rooms behind it that need no bus."""

    def __init__(self, services: Services, *, people: bool) -> None:
        self.services = services
        as_set = services.settings.access.tells_apart
        self.access = access = make_access(services) if as_set else _known(services, people=people)
        self.api = create_api(services, access)
        self.page = create_page(services, access, make_provider(services))
        self.door = Door(
            api=self.api,
            page=self.page,
            intake=_nowhere,
            argo=_nowhere,
            hooks=lambda _: None,
            access=access,
            loopback=not access.wanted,
            spaces=lambda: services.spaces,
        )

    @property
    def store(self) -> Store:
        return self.services.store

    def visitor(self, name: str = "") -> httpx2.AsyncClient:
        """Somebody with a token, or without."""
        headers = {"authorization": f"Bearer {token_of(name)}"} if name else {}
        where = httpx2.ASGITransport(app=self.door)
        return httpx2.AsyncClient(transport=where, base_url="http://127.0.0.1:7300", headers=headers)


def _known(services: Services, *, people: bool) -> Access:
    sessions, keys = Sessions(services.store, services.clock.now), Keys(services.store, services.clock.now)
    return Access(None, known() if people else (), sessions, keys)


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError(f"nothing goes to {scope['path']} here")


@asynccontextmanager
async def house(place: Path, *, people: bool = False, **more: Any) -> AsyncGenerator[House]:
    """The page on an empty store. `more`: further fields of its services."""
    async with open_store(place / "store.db") as store, MemoryBus() as bus:
        services = Services(
            settings=Settings(),
            project=place,
            data=place,
            store=store,
            bus=bus,
            clock=SystemClock(),
            states=list,
            sources=list,
            sensing=Sensing(store, None, list),
            figures=lambda: Figures({}, 0, None),
        )
        yield House(replace(services, **more), people=people)


class Seen(HTMLParser):
    """The elements and attributes of a view, as a browser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


__all__ = ["App", "House", "Seen", "house", "token_of"]
