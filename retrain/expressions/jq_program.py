"""jq: `transform.jq` of a dependency, run by libjq in the sandbox.

    compile_jq("{day: .body.day, n: (.body.files | length)}").transform('{"body": {"day": "mon", "files": [1]}}')
    # '{"day":"mon","n":1}'

The data must be an object (or null), and the first output must be an object. Numbers are float64, so whole numbers
above 2^53 lose digits. There is no environment, no clock (`now`), no other input and no module; `halt` is refused.
Where upstream's gojq fails to write NaN and infinity, libjq writes null and 1.7976931348623157e+308.

Source: `applyJQTransform` of Argo Events and https://jqlang.org/manual/v1.8/
"""

from __future__ import annotations

from dataclasses import dataclass

from retrain.expressions.sandbox import Program, Sandbox, SandboxError, shared


class JqError(SandboxError):
    """The text is no jq program, or it failed on this data."""


@dataclass(frozen=True, slots=True)
class JqProgram:
    """A program that compiles."""

    text: str
    _program: Program
    _sandbox: Sandbox

    def transform(self, data: str) -> str:
        """JSON text in, the first output as JSON text out.

        Raises:
            JqError: it failed, has no output or one that is no object, or went over a limit of the sandbox.
            Transient: the sandbox does not start.
        """
        try:
            return self._sandbox.run(self._program, "transform", data)
        except SandboxError as error:
            raise JqError(f"jq: {error}") from None


def compile_jq(text: str, sandbox: Sandbox | None = None) -> JqProgram:
    """Compile it in the sandbox, so that what is wrong with it comes out here.

    Raises:
        JqError: with line and column, and what is wrong there.
        Transient: the sandbox does not start.
    """
    sandbox = sandbox or shared()
    try:
        program = Program.of("jq", text)
        sandbox.check(program)
    except SandboxError as error:
        raise JqError(f"jq: {error}") from None
    return JqProgram(text, program, sandbox)
