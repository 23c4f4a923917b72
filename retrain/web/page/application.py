"""The page as an application of its own: its routes, its assets, its errors as views, the headers of all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from retrain.app.services import Services
from retrain.errors import RetrainError
from retrain.web.access import Access
from retrain.web.conditional import Conditional
from retrain.web.door import REFUSED
from retrain.web.errors import status_of
from retrain.web.page import assets
from retrain.web.page.artifacts import add_artifact_views
from retrain.web.page.compare import add_compare_view
from retrain.web.page.deciding import add_decisions
from retrain.web.page.doing import add_forms
from retrain.web.page.event_forms import add_event_forms
from retrain.web.page.events import add_event_views
from retrain.web.page.firings import add_firing_views
from retrain.web.page.frame import HEADERS, Frame, View, see
from retrain.web.page.health import add_health_views
from retrain.web.page.letters import add_letter_views
from retrain.web.page.live import Live, pulse_of
from retrain.web.page.login import add_login
from retrain.web.page.logs import add_log_views
from retrain.web.page.models import add_model_views
from retrain.web.page.oidc import add_provider_login
from retrain.web.page.promotions import add_promotion_views
from retrain.web.page.rest import add_other_views
from retrain.web.page.runs import add_run_views
from retrain.web.page.sensors import add_sensor_views
from retrain.web.page.tokens import add_token_views
from retrain.web.page.trials import add_trial_views
from retrain.web.sessions import Sessions

if TYPE_CHECKING:
    from retrain.web.oidc_provider import Provider

Next = Callable[[Request], Awaitable[Response]]


def create_page(services: Services, access: Access, provider: Provider | None = None) -> FastAPI:
    """The page of a running platform. `provider`: where people log in, if they do."""
    page = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    frame = Frame(services, access, access.sessions or Sessions(services.store, services.clock.now), pulse_of(services))
    page.middleware("http")(_refusing(frame))
    page.middleware("http")(_guard)
    _errors(page, frame)
    for add in (add_login, add_event_views, add_sensor_views, add_run_views, add_promotion_views, add_other_views):
        add(page, frame)
    for add in (add_model_views, add_letter_views, add_health_views, add_decisions):
        add(page, frame)
    for add in (add_firing_views, add_trial_views, add_event_forms):
        add(page, frame)
    for add in (add_log_views, add_artifact_views, add_compare_view):
        add(page, frame)
    add_token_views(page, frame)
    add_provider_login(page, frame, provider)
    add_forms(page, frame)
    _ways(page, frame)
    page.mount("/ui/static", Conditional(StaticFiles(directory=assets.folder())))
    return page


async def _guard(request: Request, call_next: Next) -> Response:
    """Every answer has the headers; what is the same for everybody may be kept."""
    answer = await call_next(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    if request.url.path.startswith("/ui/static/"):
        answer.headers["cache-control"] = assets.lasts(request.url.path, request.url.query)
    return answer


def _refusing(frame: Frame) -> Callable[[Request, Next], Awaitable[Response]]:
    async def refuse(request: Request, call_next: Next) -> Response:
        """What the door has refused is a view too."""
        if (why := request.scope.get(REFUSED)) is not None:
            return _view(frame, request, 403, str(why))
        return await call_next(request)

    return refuse


def _ways(page: FastAPI, frame: Frame) -> None:
    @page.get("/")
    @page.get("/ui")
    async def begin() -> Response:
        return see("/ui/")

    @page.get("/ui/live", response_class=Live)
    async def live(request: Request, after: str = "") -> Live:
        # A browser that comes again says how far it has come.
        return Live(frame.services, frame.pulse, request.headers.get("last-event-id") or after)


def _errors(page: FastAPI, frame: Frame) -> None:
    @page.exception_handler(RetrainError)
    async def complain(request: Request, error: RetrainError) -> Response:
        return _view(frame, request, status_of(error), str(error))

    @page.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        return _view(frame, request, error.status_code, f"{request.url.path}: {error.detail}")

    @page.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        return _view(frame, request, 422, said)


TITLES = {403: "You may not do that", 404: "There is no such thing", 409: "The answer is no", 503: "Not now"}


def _view(frame: Frame, request: Request, status: int, message: str) -> Response:
    title = TITLES.get(status, "That cannot be read")
    return frame.show(request, View("error.html", title, status=status), message=message)
