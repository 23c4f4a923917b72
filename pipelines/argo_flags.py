"""The flags of the `argo` command that may stand in `args` of an `argoWorkflow` trigger, read as that command does.

Each operation has its own; any other is refused by name, with what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from retrain.errors import Permanent
from retrain.events import JsonValue

Flag = Literal[
    "parameter", "name", "generate-name", "entrypoint", "serviceaccount", "labels", "annotations", "priority",
    "selector", "restart-successful", "node-field-selector", "message",
]  # fmt: skip

_PARAMETER: dict[str, Flag] = {"-p": "parameter", "--parameter": "parameter"}
_SELECTOR: dict[str, Flag] = {"-l": "selector", "--selector": "selector"}
_SUBMIT: dict[str, Flag] = {
    **_PARAMETER,
    "--name": "name",
    "--generate-name": "generate-name",
    "--entrypoint": "entrypoint",
    "--serviceaccount": "serviceaccount",
    "-l": "labels",
    "--labels": "labels",
    "--annotations": "annotations",
    "--priority": "priority",
}
FLAGS: Mapping[str, Mapping[str, Flag]] = {
    "submit": _SUBMIT,
    "submit-from": _SUBMIT,
    "resubmit": {**_PARAMETER, "--priority": "priority"},
    "retry": {
        **_PARAMETER,
        **_SELECTOR,
        "--restart-successful": "restart-successful",
        "--node-field-selector": "node-field-selector",
    },
    "suspend": _SELECTOR,
    "resume": _SELECTOR,
    "stop": _SELECTOR,
    "terminate": _SELECTOR,
}
"""Operation -> flag as written -> what it says."""
SWITCHES = frozenset({"restart-successful"})
"""Flags that have no value, or `=true` or `=false` after them."""

_SUSPEND_STEPS = "speaks to steps of type suspend, which the local engine does not have yet"
REFUSED: Mapping[tuple[str, str], str] = {
    ("*", "-f"): "reads a file of the machine that the platform runs on; write the parameters out with -p",
    ("*", "--parameter-file"): "reads a file of the machine that the platform runs on; write them out with -p",
    ("*", "--dry-run"): "would do nothing; `retrain sensors explain` shows what a sensor would do",
    ("resubmit", "--memoized"): "is not built: every step of a resubmitted workflow runs",
    ("resume", "--node-field-selector"): _SUSPEND_STEPS,
    ("stop", "--node-field-selector"): _SUSPEND_STEPS,
    ("stop", "--message"): "goes with --node-field-selector, which " + _SUSPEND_STEPS,
}


@dataclass(frozen=True, slots=True)
class Said:
    """One flag with its value; that of a switch is `true` or `false`."""

    flag: Flag
    value: str


def read_flags(operation: str, args: JsonValue) -> list[Said]:
    """The flags of an operation, in order.

    Raises:
        Permanent: one is not understood, or has no value; the message names it and says what there is.
    """
    if not isinstance(args, Sequence) or isinstance(args, str) or not all(isinstance(arg, str) for arg in args):
        raise Permanent("argoWorkflow.args must be a list of texts such as -p and name=value")
    waiting = iter(cast("Sequence[str]", args))
    return [_read(operation, arg, waiting) for arg in waiting]


def _read(operation: str, arg: str, waiting: Iterator[str]) -> Said:
    name, equals, value = arg.partition("=") if arg.startswith("--") else (arg[:2], arg[2:], arg[2:])
    flag = FLAGS[operation].get(name)
    if flag is None:
        raise Permanent(_refusal(operation, name if arg.startswith("-") else arg))
    if flag in SWITCHES:
        return Said(flag, _switch(name, value if equals else "true"))
    if not equals:
        given = next(waiting, None)
        if given is None:
            raise Permanent(f"argoWorkflow.args: {name!r} needs a value")
        value = given
    return Said(flag, value)


def _switch(name: str, value: str) -> str:
    if value.lower() not in {"true", "false"}:
        raise Permanent(f"argoWorkflow.args: {name!r} is true or false, not {value!r}")
    return value.lower()


def _refusal(operation: str, name: str) -> str:
    reason = REFUSED.get((operation, name)) or REFUSED.get(("*", name))
    if reason is not None:
        return f"argoWorkflow.args: {name!r} of {operation} {reason}"
    known = ", ".join(sorted(FLAGS[operation]))
    return f"argoWorkflow.args: {name!r} is not supported with {operation}; there are {known}"


def pairs(flag: str, text: str) -> dict[str, str]:
    """`a=b,c=d` as a mapping.

    Raises:
        Permanent: a part of it is no pair.
    """
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not name:
            raise Permanent(f"argoWorkflow.args: {flag} are name=value,..., not {text!r}")
        found[name] = value
    return found


def parameter(text: str) -> tuple[str, str]:
    """`name=value`.

    Raises:
        Permanent: it is not.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Permanent(f"argoWorkflow.args: a parameter is name=value, not {text!r}")
    return name, value


def whole_number(flag: str, text: str) -> int:
    """A number without a point.

    Raises:
        Permanent: it is none.
    """
    try:
        return int(text)
    except ValueError:
        raise Permanent(f"argoWorkflow.args: {flag} is a whole number, not {text!r}") from None


def label_selector(text: str) -> Callable[[Mapping[str, str]], bool]:
    """`a=b,c!=d,e,!f`: whether labels fit all of it.

    Raises:
        Permanent: a part of it cannot be read.
    """
    terms = [_label_term(part.strip()) for part in text.split(",")]
    return lambda labels: all(term(labels) for term in terms)


def _label_term(text: str) -> Callable[[Mapping[str, str]], bool]:
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        name, found, value = text.partition(sign)
        if found and name.strip():
            return lambda labels: (labels.get(name.strip()) == value.strip()) is equal
    absent, name = text.startswith("!"), text.removeprefix("!").strip()
    if not name or any(c in name for c in " ()="):
        raise Permanent(f"argoWorkflow.args: label selector {text!r}: a term is a=b, a!=b, a or !a")
    return lambda labels: (name in labels) is not absent
