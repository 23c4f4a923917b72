"""Runs a Python file that defines workflows with Hera, and writes them down: a program of its own, in its own process.

    python -P hera_driver.py FILE OUT

FILE is run as `python FILE` would run it; whatever asks a server to take a workflow (`create`, ...) hands it over here
instead. OUT gets a JSON list of `{"submitted": bool, "manifest": {...}}`, in the order of definition.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

SUBMITS = ("create", "async_create", "create_as_workflow", "async_create_as_workflow", "submit", "async_submit")
ASKS = ("lint", "async_lint", "wait", "async_wait", "update", "async_update", "get", "async_get")


def main() -> None:
    file, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    try:
        from hera import workflows
    except ImportError:
        raise SystemExit(f"{file} needs Hera: pip install 'hera>=7'") from None
    submitted: list[Any] = []
    made: list[Any] = []
    _listen(workflows, made, submitted)
    sys.argv = [str(file)]
    sys.path.insert(0, str(file.parent))
    runpy.run_path(str(file), run_name="__main__")
    found = [{"submitted": any(one is other for other in submitted), "manifest": one.to_dict()} for one in made]
    out.write_text(json.dumps(found, default=str))


def _listen(workflows: Any, made: list[Any], submitted: list[Any]) -> None:
    """Note every workflow that is built, and take what would go to a server."""
    base = workflows.Workflow
    # The last step of the construction of templates and schedules too, which have an __init__ of their own.
    began = base.__post_init__

    def after_init(self: Any) -> None:
        began(self)
        made.append(self)

    base.__post_init__ = after_init
    classes = [base, *(getattr(workflows, name) for name in dir(workflows) if _is_workflow(workflows, name, base))]
    for one in classes:
        for name in SUBMITS:
            if name in vars(one):
                setattr(one, name, _taken(submitted, name))
        for name in ASKS:
            if name in vars(one):
                setattr(one, name, _answered(name))


def _is_workflow(workflows: Any, name: str, base: type) -> bool:
    found = getattr(workflows, name)
    return isinstance(found, type) and issubclass(found, base) and found is not base


def _taken(submitted: list[Any], name: str) -> Any:
    def take(self: Any, *_args: Any, **_kwargs: Any) -> Any:
        submitted.append(self)
        return self.build()

    async def take_later(self: Any, *_args: Any, **_kwargs: Any) -> Any:
        return take(self)

    return take_later if name.startswith("async_") else take


def _answered(name: str) -> Any:
    def answer(self: Any, *_args: Any, **_kwargs: Any) -> Any:
        return self.build()

    async def answer_later(self: Any, *_args: Any, **_kwargs: Any) -> Any:
        return self.build()

    return answer_later if name.startswith("async_") else answer


if __name__ == "__main__":
    main()
