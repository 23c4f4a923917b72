"""The API's routes of CronWorkflows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field

Act = Callable[..., Awaitable[Any]]
"""Does an action of the platform by its name."""
Namespace = Annotated[str | None, Query(description="Where several have the same name: which")]


class SuspendBody(BaseModel):
    """`by`: who says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: str = Field(default="api", min_length=1, max_length=200)


class StartBody(BaseModel):
    """`parameters`: values for the workflow's arguments."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    parameters: dict[str, str] = Field(default_factory=dict)


def add_cron_routes(api: FastAPI, act: Act) -> None:
    """Add all of them."""

    @api.get("/api/v1/crons")
    async def list_crons() -> dict[str, Any]:
        return await act("crons.list")

    @api.get("/api/v1/crons/{name}")
    async def show_cron(name: str, namespace: Namespace = None) -> dict[str, Any]:
        return await act("crons.show", name, namespace)

    @api.post("/api/v1/crons/{name}/suspend")
    async def suspend_cron(name: str, how: SuspendBody | None = None, namespace: Namespace = None) -> dict[str, Any]:
        return await act("crons.suspend", name, namespace, (how or SuspendBody()).by)

    @api.post("/api/v1/crons/{name}/resume")
    async def resume_cron(name: str, namespace: Namespace = None) -> dict[str, Any]:
        return await act("crons.resume", name, namespace)

    @api.post("/api/v1/crons/{name}/run")
    async def run_cron(name: str, how: StartBody | None = None, namespace: Namespace = None) -> dict[str, Any]:
        return await act("crons.run", name, namespace, (how or StartBody()).parameters)
