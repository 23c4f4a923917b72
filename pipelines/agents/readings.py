"""Output parameters that are read off an object: `jsonPath` as kubectl has it, `jqFilter` as `jq -r` has it.

Source: `SaveResourceParameters` of Argo's executor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import anyio.to_thread

from pipelines.agents.kubepath import compile_kubepath
from pipelines.core.naming import go_json
from retrain.errors import ConfigError, RetrainError


async def read_parameters(template: Mapping[str, Any], body: Mapping[str, Any] | None) -> dict[str, str | None]:
    """The declared parameters with what they read off the object; without one (`get --ignore-not-found`) the defaults.

    Raises:
        ConfigError: a filter is none, or fails, and there is no default.
        Transient: the sandbox of jq does not start.
    """
    found: dict[str, str | None] = {}
    for parameter in (template.get("outputs") or {}).get("parameters") or ():
        name, source = str(parameter.get("name")), parameter.get("valueFrom")
        if not source:
            if parameter.get("value") is not None:
                found[name] = str(parameter["value"])
            continue
        default = None if source.get("default") is None else str(source["default"])
        if body is None:
            found[name] = default or ""
        elif source.get("jsonPath") or source.get("jqFilter"):
            found[name] = await _read(name, source, body, default)
    return found


async def _read(name: str, source: Mapping[str, Any], body: Mapping[str, Any], default: str | None) -> str:
    try:
        if path := source.get("jsonPath"):
            return compile_kubepath(str(path)).render(body)
        return await anyio.to_thread.run_sync(_jq, str(source["jqFilter"]), json.dumps(body))
    except ConfigError as error:
        if default is not None:
            return default
        raise ConfigError(f"outputs.parameters.{name}: {error}") from None


def _jq(program: str, document: str) -> str:
    """What `jq -rc` writes: each output on a line of its own, texts as they are."""
    from retrain.expressions.jq_program import JqError, compile_jq

    try:
        # A transform gives one object: all outputs of the filter in a list are that. The line break ends a comment.
        wrapped = compile_jq(f"{{retrain: [({program}\n)]}}")
        outputs: list[Any] = json.loads(wrapped.transform(document))["retrain"]
    except JqError as error:
        raise ConfigError(str(error)) from None
    except (KeyError, ValueError, RetrainError) as error:
        if isinstance(error, RetrainError):
            raise
        raise ConfigError("jq: that is no filter") from None
    return "\n".join(one if isinstance(one, str) else go_json(one) for one in outputs).strip()
