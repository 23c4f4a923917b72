"""The API behind the door: what it is made of. What its routes answer comes from `retrain.app.looking.queries`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import FastAPI

from retrain import __version__
from retrain.app.services import Services
from retrain.web.access import Access
from retrain.web.bodies import Bodies
from retrain.web.compare_routes import add_compare_routes
from retrain.web.conditional import Conditional
from retrain.web.cron_routes import add_cron_routes
from retrain.web.deadletter_routes import add_deadletter_routes
from retrain.web.errors import add_errors
from retrain.web.event_routes import add_event_routes
from retrain.web.firing_routes import add_firing_routes
from retrain.web.health_routes import add_health_routes
from retrain.web.keeping_routes import add_keeping_routes
from retrain.web.looking_routes import add_looking_routes
from retrain.web.model_routes import add_model_routes
from retrain.web.openapi import describe, operation_id
from retrain.web.promotion_routes import add_promotion_routes
from retrain.web.run_routes import add_run_routes
from retrain.web.sensor_routes import add_sensor_routes
from retrain.web.token_routes import add_token_routes
from retrain.web.tokens import Tokens

NOUNS: Sequence[Callable[[FastAPI, Services], None]] = (
    add_health_routes,
    add_event_routes,
    add_sensor_routes,
    add_firing_routes,
    add_run_routes,
    add_compare_routes,
    add_cron_routes,
    add_promotion_routes,
    add_model_routes,
    add_deadletter_routes,
    add_looking_routes,
    add_keeping_routes,
)
"""What adds the routes of each noun; where two fit one path, the first counts."""


def create_api(services: Services, access: Access | None = None) -> FastAPI:
    """The API of a running platform. `access`: who may come in; their tokens are made here too."""
    api = FastAPI(
        title="Retrain",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    add_errors(api)
    for add in NOUNS:
        add(api, services)
    add_token_routes(api, Tokens(services, access or Access(None)))
    describe(api)
    api.add_middleware(Conditional)
    api.add_middleware(Bodies)
    return api
