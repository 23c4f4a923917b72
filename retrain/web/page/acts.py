"""What the page's forms share: who says so and why, and the action that the API asks for, too."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from retrain.errors import NotFound
from retrain.identity import Principal
from retrain.web.access import principal
from retrain.web.page.forms import Fields
from retrain.web.page.frame import Frame

LONGEST = 2000
"""Letters of a reason."""


def speaker(request: Request, form: Fields) -> Principal:
    """Who has sent the form: by their token, else as they say."""
    return principal(request.scope, form.get("actor", "").strip())


def said(request: Request, form: Fields) -> dict[str, Any]:
    """Who says so, and why.

    Raises:
        ConfigError: there is no reason.
    """
    return {"by": speaker(request, form), "reason": form.need("reason")[:LONGEST]}


async def act(frame: Frame, name: str, *words: Any, **more: Any) -> Any:
    """Do an action of the platform.

    Raises:
        NotFound: this process has no such action.
    """
    action = frame.services.actions.get(name)
    if action is None:
        raise NotFound(f"{name}: this process of the platform cannot do that")
    return await action(*words, **more)
