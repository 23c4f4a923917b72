"""The API's routes for those who run the platform: what is wrong with it, back-ups, and a bundle for whoever helps."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Literal

import anyio
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from retrain.app.keeping import platform_files
from retrain.app.keeping.checkup import checkup
from retrain.app.services import Services
from retrain.web import metrics
from retrain.web.access import principal
from retrain.web.asking import shown
from retrain.web.openapi import Answers, answers
from retrain.web.shapes.looking import CheckPage

PIECE = 1 << 18
BUNDLE = answers(of="application/gzip", text="A tar, packed with gzip")
BACKUP: Answers = {
    200: {
        "description": "A tar; packed with gzip unless it is not to be",
        "content": {
            one: {"schema": {"type": "string", "format": "binary"}} for one in ("application/gzip", "application/x-tar")
        },
    }
}

Part = Literal["artifacts", "volumes", "manifests", "runs"]


class BackupWish(BaseModel):
    """What a back-up is to have. `packed`: whether the tar is packed with gzip."""

    model_config = ConfigDict(extra="forbid", strict=True)

    parts: Annotated[list[Part], Field(max_length=4)] = ["artifacts", "volumes", "manifests"]
    storeOnly: bool = False
    packed: bool = True


class BundleWish(BaseModel):
    """What a support bundle is to have beside the usual."""

    model_config = ConfigDict(extra="forbid", strict=True)

    withPayloads: bool = False


def add_keeping_routes(api: FastAPI, services: Services) -> None:
    """Add all of them."""

    @api.get("/api/v1/checks", responses=answers(CheckPage))
    async def show_checks() -> Response:
        return shown({"items": [one.to_json() for one in await checkup(services)], "next": None})

    @api.post("/api/v1/backup", response_class=StreamingResponse, responses=BACKUP)
    async def make_backup(wish: BackupWish, request: Request) -> StreamingResponse:
        who, parts = principal(request.scope), tuple(dict.fromkeys(wish.parts))
        path = await platform_files.backup(services, who, parts, store_only=wish.storeOnly, packed=wish.packed)
        return _sent(path, "application/gzip" if wish.packed else "application/x-tar")

    @api.post("/api/v1/support-bundle", response_class=Response, responses=BUNDLE)
    async def make_support_bundle(wish: BundleWish, request: Request) -> Response:
        who, page = principal(request.scope), await metrics.page(services)
        found = await platform_files.bundle(services, who, metrics=page, payloads=wish.withPayloads)
        return Response(found, media_type="application/gzip")


def _sent(path: Path, media: str) -> StreamingResponse:
    """A file that is gone when it is sent."""
    return StreamingResponse(_read(path), media_type=media, headers={"Content-Length": str(path.stat().st_size)})


async def _read(path: Path) -> AsyncGenerator[bytes]:
    try:
        async with await anyio.open_file(path, "rb") as file:
            while piece := await file.read(PIECE):
                yield piece
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.Path(path).unlink(missing_ok=True)
