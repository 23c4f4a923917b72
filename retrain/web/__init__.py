"""The platform's HTTP door: the API with its OpenAPI, the page, health and metrics. Hot paths are raw ASGI, the rest
FastAPI."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from eventsources import SourceHost
from retrain.app.access.emitted import record_emitted
from retrain.app.services import Services
from retrain.serving import App, Receive, Scope, Send
from retrain.web.access import Access, Known
from retrain.web.api import create_api
from retrain.web.argo_events import ArgoEvents
from retrain.web.door import Door
from retrain.web.intake import Intake
from retrain.web.keys import Keys
from retrain.web.sessions import Sessions

if TYPE_CHECKING:
    from retrain.web.oidc_provider import Provider

__all__ = ["Door", "Intake", "create_api", "make_access", "make_door", "make_provider"]


def make_access(services: Services) -> Access:
    """Who may come in, as the settings say."""
    server, group, store, now = services.settings.server, services.settings.access, services.store, services.clock.now
    users = [Known(name, one.digest, frozenset(one.roles), one.kind) for name, one in group.users.items()]
    lasts, idle = timedelta(hours=group.session_hours), timedelta(hours=group.session_idle_hours)
    secure = (server.url or "").startswith("https:")
    sessions = Sessions(store, now, lasts=lasts, idle=idle, secure=secure)
    issuer = group.oidc.issuer if group.oidc else ""
    keys = Keys(store, now, issuer=issuer, lasts=timedelta(days=group.oidc.roles_last_days if group.oidc else 0))
    token = server.token.get_secret_value() if server.token else None
    return Access(token, users, sessions, keys, logins=group.oidc is not None)


def make_provider(services: Services) -> Provider | None:
    """Where people log in, if the settings say so."""
    settings, url = services.settings.access.oidc, services.settings.server.url
    if settings is None or url is None:
        return None
    from retrain.web.oidc_provider import Provider

    return Provider(settings, f"{url}/ui/login/callback", services.clock, os.environ, services.project)


def make_door(services: Services, sources: SourceHost | None) -> Door:
    """The application on the platform's port."""
    server = services.settings.server
    access, provider = make_access(services), make_provider(services)
    if provider is not None:
        states = services.states
        services = replace(services, states=lambda: [*states(), provider.state()])
    webhooks = sources.webhooks if sources is not None else None
    return Door(
        api=create_api(services, access),
        page=_page(services, access, provider),
        intake=Intake(
            services.bus, services.clock, server.max_body, partial(record_emitted, services.store, services.clock)
        ),
        argo=ArgoEvents(services.bus, services.clock, server.max_body),
        hooks=lambda path: webhooks if webhooks is not None and webhooks.handles(path) else None,
        access=access,
        loopback=server.host in {"127.0.0.1", "::1", "localhost"},
        spaces=lambda: services.spaces,
    )


def _page(services: Services, access: Access, provider: Provider | None) -> App:
    """The page, made for its first request: its views and templates take a tenth of a start, and not every platform is
    looked at."""
    made: list[App] = []
    making = anyio.Lock()

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        if not made:
            async with making:
                if not made:  # by a request that came before
                    # Loading takes a third of a second, in which others are answered.
                    module = await anyio.to_thread.run_sync(import_module, "retrain.web.page")
                    made.append(module.create_page(services, access, provider))
        await made[0](scope, receive, send)

    return page
