"""The API's routes of tokens and sessions, and who somebody is."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response

from retrain.web.access import principal
from retrain.web.asking import After, Limit, listed, shown
from retrain.web.openapi import answers
from retrain.web.shapes.access import Me, NewToken, SessionPage, SessionsEnded, TokenBody, TokenEnded, TokenPage
from retrain.web.tokens import Tokens

Every = Annotated[bool, Query(alias="all", description="Those of everybody: for an admin")]
TokenId = Annotated[str, Path(description="The id of a token, such as t-4be1c07a92d3")]
SessionId = Annotated[str, Path(description="The id of a session, such as s-4be1c07a92d3")]
ONCE = {"Cache-Control": "no-store"}


def add_token_routes(api: FastAPI, tokens: Tokens) -> None:
    """Add all of them."""
    _sessions(api, tokens)

    @api.get("/api/v1/tokens", responses=answers(TokenPage))
    async def list_tokens(request: Request, every: Every = False, cursor: After = None, limit: Limit = 50) -> Response:
        return listed(request, await tokens.listing(principal(request.scope), cursor, limit, every=every))

    @api.post("/api/v1/tokens", status_code=201, responses=answers(NewToken, status=201))
    async def create_token(request: Request, wanted: TokenBody) -> Response:
        return shown(await tokens.make(principal(request.scope), wanted.wish()), ONCE, status=201)

    @api.delete("/api/v1/tokens/{token_id}", responses=answers(TokenEnded))
    async def revoke_token(request: Request, token_id: TokenId) -> Response:
        return shown(await tokens.revoke(principal(request.scope), token_id))

    @api.get("/api/v1/me", responses=answers(Me))
    async def show_me(request: Request) -> Response:
        return shown(tokens.me(principal(request.scope)))


def _sessions(api: FastAPI, tokens: Tokens) -> None:
    @api.get("/api/v1/sessions", responses=answers(SessionPage))
    async def list_sessions(request: Request) -> Response:
        return listed(request, await tokens.sessions(principal(request.scope)))

    @api.delete("/api/v1/sessions", responses=answers(SessionsEnded))
    async def end_sessions(request: Request) -> Response:
        return shown(await tokens.end_sessions(principal(request.scope)))

    @api.delete("/api/v1/sessions/{session_id}", responses=answers(SessionsEnded))
    async def end_session(request: Request, session_id: SessionId) -> Response:
        return shown(await tokens.end_sessions(principal(request.scope), session_id))
