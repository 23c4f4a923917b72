"""Transforms: a dependency's own view of an event's data, made by jq or Lua before its filters see it.

Both run apart from this process, within limits of memory and time.

Source: https://github.com/argoproj/argo-events/blob/master/pkg/sensors/dependencies/transform.go
"""

from __future__ import annotations

from collections.abc import Callable

from retrain.expressions.jq_program import compile_jq
from retrain.expressions.lua_script import compile_lua
from sensors.dependency_spec import Dependency
from sensors.filtering.content import Content

MakeContent = Callable[[Content], Content]


def compile_transform(dependency: Dependency) -> MakeContent | None:
    """What makes an event's new data; None where there is no transform. jq wins if both are written.

    What it returns raises ConfigError where the program fails, takes too long, or makes something else than it should.

    Raises:
        ConfigError: the program is not in its language.
    """
    written = dependency.transform
    if written is None or not (written.jq or written.script):
        return None
    program = compile_jq(written.jq) if written.jq else compile_lua(written.script)
    return lambda content: Content(content.event, program.transform(content.data))
