"""The platform's HTTP door: the API with its OpenAPI, the page, health and metrics. Hot paths are raw ASGI, the rest
FastAPI."""

from __future__ import annotations

from eventsources import SourceHost
from retrain.app.services import Services
from retrain.app.settings import Settings
from retrain.web.access import Access, Known
from retrain.web.api import create_api
from retrain.web.argo_events import ArgoEvents
from retrain.web.door import Door
from retrain.web.intake import Intake
from retrain.web.page import create_page
from retrain.web.sessions import Sessions

__all__ = ["Door", "Intake", "create_api", "make_access", "make_door"]


def make_access(settings: Settings, sessions: Sessions | None = None) -> Access:
    """Who has which token, as the settings say."""
    token = settings.server.token
    users = [Known(name, user.digest, frozenset(user.roles)) for name, user in settings.access.users.items()]
    return Access(token.get_secret_value() if token else None, users, sessions)


def make_door(services: Services, sources: SourceHost | None) -> Door:
    """The application on the platform's port."""
    server = services.settings.server
    access = make_access(services.settings, Sessions(services.clock.now))
    webhooks = sources.webhooks if sources is not None else None
    return Door(
        api=create_api(services),
        page=create_page(services, access),
        intake=Intake(services.bus, services.clock, server.max_body),
        argo=ArgoEvents(services.bus, services.clock, server.max_body),
        hooks=lambda path: webhooks if webhooks is not None and webhooks.handles(path) else None,
        access=access,
        loopback=server.host in {"127.0.0.1", "::1", "localhost"},
    )
