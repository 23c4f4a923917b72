"""Lua: `script` of a filter or a transform, run in the sandbox by LuaJIT: Lua 5.1 and `goto`, as gopher-lua.

    compile_lua("return event.body.action == 'closed'").passes('{"body": {"action": "closed"}}')   # True
    compile_lua("event.n = #event.files return event").transform('{"files": ["a", "b"]}')
    # '{"files":["a","b"],"n":2}'

The global `event` is the data, which must be an object (or null). As upstream: fields that are null are not there; in a
list, nulls and lists are left out and what follows moves up; an empty list comes out as `{}` unless its metatable says
`__is_array = true`; a table with any whole key from 1 comes out as a list and loses its other keys.

There are `string`, `table`, `math` (random numbers are the same each time), `coroutine` and the basic functions. There
is no `os`, `io`, `require`, `load` or `debug`, where upstream gives a script the whole machine; `print` does nothing.
Numbers of more than 14 digits lose some where `..` makes them text, as in any Lua 5.1; `tostring` keeps them.

Source: `applyScriptTransform` and `filterScript` of Argo Events
"""

from __future__ import annotations

from dataclasses import dataclass

from retrain.expressions.sandbox import Program, Sandbox, SandboxError, shared


class LuaError(SandboxError):
    """The text is no Lua script, or it failed on this data."""


@dataclass(frozen=True, slots=True)
class LuaScript:
    """A script that compiles."""

    text: str
    _program: Program
    _sandbox: Sandbox

    def passes(self, data: str) -> bool:
        """Whether the script returns exactly `true` for this JSON text.

        Raises:
            LuaError: it failed, or went over a limit of the sandbox.
            Transient: the sandbox does not start.
        """
        try:
            return self._sandbox.run(self._program, "filter", data) == "true"
        except SandboxError as error:
            raise LuaError(f"lua: {error}") from None

    def transform(self, data: str) -> str:
        """JSON text in, the table that the script returns as JSON text out.

        Raises:
            LuaError: it failed, returned no table or one that is no JSON, or went over a limit of the sandbox.
            Transient: the sandbox does not start.
        """
        try:
            return self._sandbox.run(self._program, "transform", data)
        except SandboxError as error:
            raise LuaError(f"lua: {error}") from None


def compile_lua(text: str, sandbox: Sandbox | None = None) -> LuaScript:
    """Compile it in the sandbox, so that what is wrong with it comes out here.

    Raises:
        LuaError: with the line, and what is wrong there.
        Transient: the sandbox does not start.
    """
    sandbox = sandbox or shared()
    try:
        program = Program.of("lua", text)
        sandbox.check(program)
    except SandboxError as error:
        raise LuaError(f"lua: {error}") from None
    return LuaScript(text, program, sandbox)
