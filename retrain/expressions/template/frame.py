"""What a template has while it runs: its variables, what it wrote, and what it may still use up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from retrain.expressions.template.functions import Surroundings
from retrain.expressions.template.meter import MAX_OUTPUT, Meter
from retrain.expressions.template.nodes import Call, Command, Operand, Pipe
from retrain.expressions.template.show import quote
from retrain.expressions.template.values import TemplateError, Value

BREAK: Final = "break"
CONTINUE: Final = "continue"
Signal = str | None
"""How a node ended: None to go on, or one of these to leave the turn or the loop."""


@dataclass(slots=True)
class Run:
    """One rendering."""

    around: Surroundings
    bodies: Mapping[str, Body]
    meter: Meter = field(default_factory=Meter)
    out: list[str] = field(default_factory=list)
    size: int = 0

    def write(self, text: str) -> None:
        """Append to the output.

        Raises:
            TemplateError: it gets longer than `MAX_OUTPUT`.
        """
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TemplateError(f"the output gets longer than {MAX_OUTPUT} characters")
        self.out.append(text)


@dataclass(slots=True)
class Frame:
    """One template at work: the main one, or one that it called. `slots[0]` is `$`."""

    slots: list[Value]
    run: Run
    depth: int = 0


Eval = Callable[[Frame, Value], Value]
"""Of a frame and dot: the value of a pipeline, a command or an operand."""
Exec = Callable[[Frame, Value], Signal]
"""Of a frame and dot: write, and say how it ended."""


@dataclass(frozen=True, slots=True)
class Body:
    """A template, compiled."""

    slots: int
    run: Exec


class Unset:
    """A variable whose declaration was not reached."""

    __slots__ = ()


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Source:
    """Where nodes come from, to say so in messages. `tree` is the template that runs, `name` the main one."""

    name: str
    text: str
    tree: str

    def error(self, node: Operand | Pipe | Command | Call, message: str) -> TemplateError:
        """The error at this node, as Go words it."""
        before = self.text[: node.at]
        line_start = before.rfind("\n") + 1
        line = before.count("\n") + 1
        column = len(before[line_start:].encode("utf-8", "surrogatepass"))
        where = f"{self.name}:{line}:{column}"
        return TemplateError(f"template: {where}: executing {quote(self.tree)} at <{node}>: {message}")
