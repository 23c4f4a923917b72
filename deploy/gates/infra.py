"""Whether the model can be served: loaded in a fresh process, asked with golden requests, its answers compared."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import anyio.to_thread
import orjson
from pydantic import Field, field_validator, model_validator

from deploy.gates import answers, process
from deploy.gates.evidence import Evidence
from deploy.gates.gathering import Tools
from deploy.gates.local_model import Found, find
from deploy.gates.process import Ended, Limits
from deploy.gates.verdict import GateSpec, Verdict, exact, say
from retrain.events import JsonValue
from retrain.manifests.duration import Duration

LOADER = Path(__file__).with_name("infra_loader.py")
LONGEST = timedelta(hours=1)
_NO_COMMAND, _TRY_AGAIN = {126, 127}, 75


class Spec(GateSpec):
    """`loader` (`pickle`, `joblib`, `mlflow`, `module:function`) loads the model with `python`, or `command` does all.

    The model's URI must begin with one of `models`. `inputs` are asked one by one; `expect` are the answers, numbers
    within `tolerance`. Limits: `timeout` for all of it, `memory` in bytes of address space.
    """

    kind: Literal["infra"]
    models: tuple[str, ...] = Field(min_length=1)
    loader: str | None = Field(default=None, pattern=r"^(pickle|joblib|mlflow|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")
    python: str | None = Field(default=None, min_length=1)
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    inputs: list[Any] = Field(default_factory=list, max_length=1000)
    expect: list[Any] | None = None
    tolerance: float = Field(default=1e-6, ge=0, allow_inf_nan=False)
    timeout: Annotated[Duration, Field(le=LONGEST)] = timedelta(seconds=60)
    memory: int = Field(default=4 << 30, ge=64 << 20)

    @field_validator("models")
    @classmethod
    def _prefixes(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [one for one in models if not one.startswith("/") and "://" not in one]:
            raise ValueError(f"{wrong[0]!r} is no beginning of a model's address, like /srv/models/ or s3://models/")
        return tuple(one if one.endswith("/") else f"{one}/" for one in models)

    @model_validator(mode="after")
    def _one_way(self) -> Spec:
        if (self.loader is None) == (self.command is None):
            raise ValueError("infra needs either loader or command")
        if self.command is not None and self.python is not None:
            raise ValueError("python is the loader's interpreter; a command names its own")
        if self.expect is not None and len(self.expect) != len(self.inputs):
            raise ValueError(f"expect has {len(self.expect)} answers for {len(self.inputs)} inputs")
        return self


async def gather(spec: Spec, evidence: Evidence, tools: Tools) -> JsonValue:
    """Load the model and ask it.

    Raises:
        Transient, Permanent: the model cannot be brought here, or the command not be started.
    """
    with tempfile.TemporaryDirectory(prefix="infra-", dir=tools.scratch, ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        to = None if spec.command is not None else folder / "model"
        found = await find(evidence.facts.uri, evidence.candidate.digest, spec.models, tools, to)
        if found.problem:
            return answers.done(problem=found.problem, digestChecked=found.checked)
        stdin = orjson.dumps({"model": _model(evidence, found), "inputs": spec.inputs})
        work = folder / "work"
        await anyio.to_thread.run_sync(work.mkdir)
        env = {f"RETRAIN_MODEL_{name.upper()}": text for name, text in _model(evidence, found).items()}
        limits = Limits(spec.timeout.total_seconds(), spec.memory)
        ended = await process.run(_command(spec, found), stdin, work, env, limits)
    return _answer(spec, ended, found)


def _model(evidence: Evidence, found: Found) -> dict[str, str]:
    return {"uri": evidence.facts.uri, "digest": evidence.candidate.digest, "path": str(found.path or "")}


def _command(spec: Spec, found: Found) -> list[str]:
    if spec.command is not None:
        return list(spec.command)
    return [spec.python or sys.executable, str(LOADER), cast("str", spec.loader), str(found.path)]


def _answer(spec: Spec, ended: Ended, found: Found) -> dict[str, JsonValue]:
    seconds, last = round(ended.seconds, 3), _last_line(ended.err)
    if ended.late:
        return answers.trouble(f"not done within {spec.timeout.total_seconds():g} s", again=True, seconds=seconds)
    if ended.code in _NO_COMMAND:
        return answers.trouble(f"the command cannot be started: {last}", again=False)
    if ended.code == _TRY_AGAIN:
        return answers.trouble(f"the command says try again (exit 75): {last}", again=True, seconds=seconds)
    facts: dict[str, JsonValue] = {"seconds": seconds, "digestChecked": found.checked}
    facts["size"] = {"memory": ended.peak} | ({} if found.size is None else {"bytes": found.size})
    if ended.code != 0:
        return answers.done(problem=f"it ended with {ended.code}: {last or 'no word on stderr'}", **facts)
    return answers.done(**facts, **_read(spec, ended.out))


def _read(spec: Spec, out: bytes) -> dict[str, JsonValue]:
    """What it said on stdout; without inputs to answer it need not say anything."""
    if not spec.inputs and not out.strip():
        return {"predictions": []}
    try:
        said: Any = orjson.loads(out)
    except orjson.JSONDecodeError:
        return {"problem": "what it said is no JSON object with predictions (numbers must be finite)"}
    predictions = said.get("predictions") if isinstance(said, Mapping) else None
    if not isinstance(predictions, list) or len(cast("list[Any]", predictions)) != len(spec.inputs):
        return {"problem": f"what it said is no JSON object with {len(spec.inputs)} predictions"}
    latency: Any = said.get("latencyMs")
    return {"predictions": predictions, "latency": {"samples": latency} if isinstance(latency, list) else {}}


def _last_line(err: bytes) -> str:
    lines = [line for line in err.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else ""


def judge(spec: Spec, evidence: Evidence) -> Verdict:
    """Fail if the model cannot be loaded, or answers otherwise than expected."""
    answer = answers.answered(spec, evidence)
    if isinstance(answer, Verdict):
        return answer
    figures = {name: answer[name] for name in ("seconds", "size", "digestChecked") if name in answer}
    if problem := answer.get("problem"):
        return say(spec, "fail", str(problem), **figures)
    predictions = cast("Sequence[JsonValue]", answer["predictions"])
    figures["predictions"] = len(predictions)
    for place, (expected, got) in enumerate(zip(spec.expect or (), predictions, strict=spec.expect is not None)):
        if not close(expected, got, spec.tolerance):
            words = f"input {place}: {_short(expected)} was expected, it said {_short(got)}"
            return say(spec, "fail", words, **figures, tolerance=spec.tolerance)
    golden = f", {len(spec.expect)} golden answers are right" if spec.expect else ""
    return say(spec, "pass", f"it loads, and answered {len(predictions)} inputs{golden}", **figures)


def close(expected: Any, got: Any, tolerance: float) -> bool:
    """Whether two JSON values are the same, numbers within the tolerance (absolute, or relative above 1)."""
    if isinstance(expected, list) and isinstance(got, list):
        pair = cast("list[Any]", expected), cast("list[Any]", got)
        return len(pair[0]) == len(pair[1]) and all(close(a, b, tolerance) for a, b in zip(*pair, strict=True))
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        here, there = cast("Mapping[str, Any]", expected), cast("Mapping[str, Any]", got)
        return here.keys() == there.keys() and all(close(here[name], there[name], tolerance) for name in here)
    if any(isinstance(one, bool | str) or one is None for one in (expected, got)):
        return type(expected) is type(got) and expected == got
    one, other = exact(expected), exact(got)
    if one is None or other is None:
        return False
    return abs(float(one) - float(other)) <= tolerance * max(1.0, abs(float(one)))


def _short(value: JsonValue) -> str:
    return orjson.dumps(value).decode()[:80]
