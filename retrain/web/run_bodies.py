"""What a request may say about a run: how it is to end, go on, be tried again; which of its steps are meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.core.happenings import Resume, SetNodes, Stop
from pipelines.core.nodes import Outputs, Phase
from pipelines.host.control import ResubmitOptions, RetryOptions


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class StopBody(_Body):
    """With `nodeFieldSelector` only the suspended steps that it fits fail, with `message`; the run goes on."""

    message: str = ""
    node_field_selector: str = Field(default="", alias="nodeFieldSelector")

    def request(self) -> Stop:
        return Stop("Stop", self.message, self.node_field_selector)


class ResumeBody(_Body):
    """With `nodeFieldSelector` only the suspended steps that it fits go on. `by`: who says so, for its message."""

    message: str = ""
    node_field_selector: str = Field(default="", alias="nodeFieldSelector")
    by: str = ""

    def request(self) -> Resume:
        return Resume(self.node_field_selector, self.message, self.by)


class SetBody(_Body):
    """What suspended steps shall be. `outputParameters`: values of their `supplied` outputs."""

    node_field_selector: str = Field(default="", alias="nodeFieldSelector")
    phase: Literal["Succeeded", "Failed", "Error", "Skipped"] | None = None
    message: str = ""
    output_parameters: Mapping[str, str] = Field(default_factory=dict, alias="outputParameters")

    def request(self) -> SetNodes:
        phase = Phase(self.phase) if self.phase else None
        return SetNodes(self.node_field_selector, phase, self.message, Outputs(dict(self.output_parameters)))


class RetryBody(_Body):
    """`nodeFieldSelector` chooses steps that succeeded and run again, with `restartSuccessful`."""

    parameters: dict[str, str] = Field(default_factory=dict)
    restart_successful: bool = Field(default=False, alias="restartSuccessful")
    node_field_selector: str = Field(default="", alias="nodeFieldSelector")

    def options(self) -> RetryOptions:
        return RetryOptions(self.restart_successful, self.node_field_selector, self.parameters)


class ResubmitBody(_Body):
    """`parameters`: new values for the workflow's arguments. `memoized`: what had succeeded is not run again."""

    parameters: dict[str, str] = Field(default_factory=dict)
    memoized: bool = False
    priority: int | None = Field(default=None, ge=-(2**31), le=2**31 - 1)

    def options(self) -> ResubmitOptions:
        return ResubmitOptions(parameters=self.parameters, priority=self.priority, memoized=self.memoized)
