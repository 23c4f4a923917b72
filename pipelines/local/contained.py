"""One container of a pod that is in hand: seen to its end, whatever that is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from pipelines.local.collect import Left
from pipelines.local.isolation import Rung
from pipelines.local.life import Halted, Life, Lost, Machine
from pipelines.local.logs import read_tail
from pipelines.local.podplan import Contained, NotInPath, Situation
from pipelines.local.process import Command, Ending
from retrain.errors import ConfigError

EMISSARY_FAILED = 64
ENGINE_FAILED = 125
"""What docker and podman exit with where there was no container at all, and a few programs too."""
ENGINE_HAS_NOT = 127
"""What they exit with for a program that the image does not have, and shells too."""
_NO_CONTAINER = re.compile(r"^(?:docker|Error|podman): +(.+)", re.MULTILINE)
_NOT_IN_IMAGE = re.compile(
    r"^(?:\[FATAL tini|.*catatonit|(?:docker|Error|podman): ).*(?:not found|no such file).*", re.M | re.I
)
"""What engines say, and the small init that they put before the program."""
KILLED_ON_PURPOSE = (137, 143)
"""Exit codes of sidecars that were told to end."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended. `how`: "exited" with `code`; "broken", it could not be started for a reason that is not
    its program's; "lost", its leader is gone; "halted", it was to end before it began."""

    name: str
    how: Literal["exited", "broken", "lost", "halted"]
    code: int = 0
    said: str = ""
    ending: Ending | None = None
    left: Left = field(default_factory=Left)

    @property
    def well(self) -> bool:
        return self.how == "exited" and self.code == 0

    @property
    def reason(self) -> str:
        """In Kubernetes' words."""
        return f"Error (exit code {self.code})"

    @property
    def message(self) -> str:
        """The same with the container's name, as the message of a node."""
        return f"{self.name}: {self.reason}" + (f": {self.said}" if self.said else "")


@dataclass(slots=True)
class Living:
    """A container with its life. `after`: what to do on a thread as soon as it has ended."""

    machine: Machine
    contained: Contained
    situation: Situation
    capture: bool
    life: Life = field(init=False)

    def __post_init__(self) -> None:
        contained = self.contained
        light = not (self.capture or contained.pod.output_parameters)
        self.life = Life(
            self.machine, contained.workspace.home, contained.mark, self._command, contained.is_quick, light
        )

    def _command(self) -> Command:
        command = self.contained.command(self.situation, self.capture)
        if not self.machine.fleeting:
            return command
        return replace(command, recorded=False, fleeting=self.contained.is_quick and self.contained.leaves_nothing)

    async def see(self, started: Callable[[datetime], None], after: Callable[[Ending], Left]) -> Ended:
        """To its end; what goes wrong is in the result."""
        name = self.contained.name
        try:
            ending, left = await self.life.live(started, lambda ending: (ending, after(ending)))
        except NotInPath as error:
            return Ended(name, "exited", EMISSARY_FAILED, str(error))
        except (ConfigError, OSError, ValueError) as error:
            # ValueError: a NUL character or broken text in an argument. OSError: no processes, no disk.
            return Ended(name, "broken", said=plain(error))
        except Lost:
            return Ended(name, "lost")
        except Halted:
            return Ended(name, "halted")
        if (troubled := self._engine_said(ending, left)) is not None:
            return troubled
        if ending.trouble and ending.code == 0:
            return Ended(name, "broken", said=ending.trouble, ending=ending, left=left)
        return Ended(name, "exited", ending.code, "" if ending.began else ending.trouble, ending, left)

    def _engine_said(self, ending: Ending, left: Left) -> Ended | None:
        """The end of a container that its engine could not make, or whose program its image does not have."""
        if self.contained.pod.around.rung is not Rung.container or ending.code not in (ENGINE_FAILED, ENGINE_HAS_NOT):
            return None
        name, image = self.contained.name, str(self.contained.container.get("image") or "")
        said = read_tail(self.contained.workspace.main_log, 5)
        if ending.code == ENGINE_FAILED and (match := _NO_CONTAINER.search(said)):
            return Ended(name, "broken", said=f"no container of {image!r}: {match[1]}", ending=ending, left=left)
        if ending.code == ENGINE_HAS_NOT and (match := _NOT_IN_IMAGE.search(said)):
            return Ended(name, "exited", EMISSARY_FAILED, f"failed to find name in PATH: {match[0]}", ending, left)
        return None


def plain(error: Exception) -> str:
    """What to tell of an error."""
    if isinstance(error, OSError):
        return f"the step cannot be started: {error.strerror or error}"
    return str(error)
