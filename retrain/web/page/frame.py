"""What every view has around it: the templates, the headers, who looks, and what tells that something changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, cast

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, Undefined

from retrain import __version__
from retrain.app.looking.changes import Topic
from retrain.app.services import Services
from retrain.identity import Principal
from retrain.web.access import Access, principal
from retrain.web.page import words
from retrain.web.page.assets import asset
from retrain.web.page.live import Pulse
from retrain.web.sessions import Sessions

HERE = files("retrain.web")
VIEWS: Sequence[tuple[str, str]] = (
    ("Overview", "/ui/"),
    ("Events", "/ui/events"),
    ("Sensors", "/ui/sensors"),
    ("Firings", "/ui/firings"),
    ("Runs", "/ui/runs"),
    ("Models", "/ui/models"),
    ("Promotions", "/ui/promotions"),
    ("Approvals", "/ui/approvals"),
    ("Trace", "/ui/trace"),
    ("Dead letters", "/ui/deadletters"),
    ("Health", "/ui/health"),
    ("Audit", "/ui/audit"),
    ("Tokens", "/ui/tokens"),
)
"""What every view leads to. A view of one thing (`/ui/run`) belongs to the list of such (`/ui/runs`)."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: a form sent under that comes without its origin, which the door asks for.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True, slots=True)
class View:
    """What is shown. `command`: the one that shows the same; `topics`: what it is to be looked at again for."""

    template: str
    title: str
    command: str = ""
    topics: Sequence[Topic] = ()
    status: int = 200


class Frame:
    """Renders views. Templates are compiled once, when they are first asked for."""

    def __init__(self, services: Services, access: Access, sessions: Sessions, pulse: Pulse) -> None:
        self.services = services
        self.access = access
        self.sessions = sessions
        self.pulse = pulse
        self._templates = Environment(
            loader=FileSystemLoader(str(HERE / "templates")),
            autoescape=True,
            undefined=Undefined,  # what JSON leaves out reads as nothing
            finalize=words.visible,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        names = (
            "state",
            "when",
            "short",
            "number",
            "command",
            "path",
            "query",
            "event_key",
            "tree",
            "web",
            "in_bytes",
            "in_words",
        )
        said = cast("dict[str, Any]", self._templates.globals)
        said |= {name: getattr(words, name) for name in names}
        said |= {"views": VIEWS, "version": __version__, "lasted": self._lasted, "asset": asset}

    def show(self, request: Request, view: View, /, **more: Any) -> HTMLResponse:
        """A view, with what its template asks for."""
        around = {
            "title": view.title,
            "command_line": view.command,
            "topics": view.topics,
            "path_here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "here": request.url.path,
            "who": self.who(request),
            "login": self.access.wanted,
            "word": self.sessions.form_word(request.scope["headers"]),
            "pulse": self.pulse.name,
        }
        return HTMLResponse(self._templates.get_template(view.template).render(**around, **more), view.status)

    def who(self, request: Request) -> Principal:
        """Whoever looks, as the door knows them."""
        return principal(request.scope)

    def _lasted(self, start: str | None, end: str | None) -> str:
        return words.lasted(start, end, self.services.clock.now())


def see(where: str) -> RedirectResponse:
    """Send the browser to another view, which it gets anew."""
    return RedirectResponse(where, 303)
