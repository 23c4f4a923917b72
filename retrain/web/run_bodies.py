"""What a request may say about a run that is to be tried again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pipelines.host.control import ResubmitOptions, RetryOptions


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryBody(_Body):
    """`nodeFieldSelector` chooses steps that succeeded and run again, with `restartSuccessful`."""

    parameters: dict[str, str] = Field(default_factory=dict)
    restart_successful: bool = Field(default=False, alias="restartSuccessful")
    node_field_selector: str = Field(default="", alias="nodeFieldSelector")

    def options(self) -> RetryOptions:
        return RetryOptions(self.restart_successful, self.node_field_selector, self.parameters)


class ResubmitBody(_Body):
    """`parameters`: new values for the workflow's arguments."""

    parameters: dict[str, str] = Field(default_factory=dict)
    priority: int | None = None

    def options(self) -> ResubmitOptions:
        return ResubmitOptions(parameters=self.parameters, priority=self.priority)
