"""Which templates a run can come to, as far as that is written down. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.core.plan import Holder, Plan
from retrain.errors import ConfigError

Template = Mapping[str, Any]


def reachable_templates(plan: Plan) -> Iterator[Template]:
    """Every template that the entrypoint, the exit handler or a hook leads to, each once.

    A reference that leads nowhere, or that only a variable tells, is passed over: whoever runs it says so.
    """
    spec = plan.spec
    starts: list[Mapping[str, Any]] = [{"template": spec[k]} for k in ("entrypoint", "onExit") if spec.get(k)]
    waiting = [(step, plan.holder) for step in (*starts, *_hooks(spec))]
    # Held, not only counted: the number of an inline template that is gone may be given to another.
    seen: dict[int, Template] = {}
    while waiting:
        step, holder = waiting.pop()
        found = _resolved(plan, step, holder)
        if found is None or id(found[0]) in seen:
            continue
        template, inner = found
        seen[id(template)] = template
        yield template
        waiting += [(one, inner) for one in _steps(template)]


def _resolved(plan: Plan, step: Mapping[str, Any], holder: Holder) -> tuple[Template, Holder] | None:
    try:
        return plan.resolve(step, holder)
    except ConfigError:
        return None


def _steps(template: Template) -> Iterator[Mapping[str, Any]]:
    yield from _hooks(template)
    tasks: list[Mapping[str, Any]] = (template.get("dag") or {}).get("tasks") or []
    for step in (*(one for group in template.get("steps") or () for one in group), *tasks):
        yield step
        yield from _hooks(step)
        if step.get("onExit"):
            yield {"template": step["onExit"]}


def _hooks(owner: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((owner.get("hooks") or {}).values())
