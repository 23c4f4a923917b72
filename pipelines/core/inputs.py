"""A template with its inputs filled from arguments and its variables from the run: what is started in the end.

Twice filled, as upstream: first with what the workflow and the node know, then with the inputs, whose values may name
the first. What the first pass puts in is scanned by the second.

Source: `ProcessArgs` and `SubstituteParams` in workflow/common/util.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipelines.core.arguments import ABSENT_ARGUMENT, mark_absent
from pipelines.core.artifacts import supplied_artifact
from pipelines.core.naming import go_json
from pipelines.core.nodes import Artifact, Inputs
from pipelines.core.plan import Catalog, config_map_value, parameter_json
from pipelines.core.substitute import (
    Prepared,
    Rule,
    Text,
    inert,
    parts,
    prepared,
    render,
    replace,
    resolve,
    revived,
    sole_tag,
)
from pipelines.core.variables import Found, Known, Layered, Lookup, Variables, variables_of
from retrain.errors import ConfigError

__all__ = ["Filled", "fill", "mark_absent"]


_FILLED_AGAIN = frozenset({"steps", "dag", "outputs"})
"""Parts of a template whose texts are filled in once more, when a step of it starts or all have ended."""


@dataclass(frozen=True, slots=True)
class Filled:
    """`template` with everything known in it replaced, and what goes into it."""

    template: Mapping[str, Any]
    inputs: Inputs


def fill(
    template: Mapping[str, Any], arguments: Mapping[str, Any], known: Variables | Lookup, local: Mapping[str, str],
    catalog: Catalog,
) -> Filled:  # fmt: skip
    """`known` are the workflow's variables, `local` those of the node, such as `node.name`.

    Raises:
        ConfigError: an input has no value, or one that is not in its `enum`; an artifact lies nowhere.
        Unresolved: a value is absent, or an expression is none.
    """
    outer = Layered(Known(local), variables_of(known), seed=local.get("node.name", ""))
    inputs = _supplied(template.get("inputs") or {}, arguments, outer, catalog)
    tagged = prepared(inputs)
    inputs: dict[str, Any] = tagged.filled(lambda text: render(text, Rule(outer)))
    for parameter in inputs["parameters"]:
        _check_enum(parameter)
    inner = Layered(_Own(inputs, template.get("outputs") or {}, outer), outer)
    if tagged.part is not None:
        inputs = replace(inputs, inner)
    inputs = revived(inputs)
    body = _prepared(_Same(template)).filled(_twice(Rule(outer), Rule(inner)))
    body = {key: value if key in _FILLED_AGAIN else revived(value) for key, value in body.items()}
    body = _with_known_outputs(template, body)
    values = {p["name"]: p["value"] for p in inputs["parameters"]}
    return Filled({**body, "inputs": inputs}, Inputs(values, tuple(inputs.get("artifacts") or ())))


def _with_known_outputs(template: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """An output parameter whose `valueFrom.parameter` is known before anything runs, such as `{{inputs.parameters.x}}`,
    is that value. Left where it is, it would be taken for the name of a variable: a name without braces is one."""
    written: list[Mapping[str, Any]] = (template.get("outputs") or {}).get("parameters") or []
    if not any("{{" in _source(one) for one in written):
        return body
    filled: list[Mapping[str, Any]] = body["outputs"]["parameters"]
    parameters = [
        {**new, "valueFrom": None, "value": revived(_source(new))} if _is_filled(_source(old), _source(new)) else new
        for old, new in zip(written, filled, strict=True)
    ]
    return {**body, "outputs": {**body["outputs"], "parameters": parameters}}


def _is_filled(old: str, new: str) -> bool:
    return new != old and "{{" in old and sole_tag(old) is not None


def _source(parameter: Mapping[str, Any]) -> str:
    return str((parameter.get("valueFrom") or {}).get("parameter") or "")


# --- the template ---------------------------------------------------------------------------------------------------


class _Same:
    """A template by identity: those of a plan never change, so each is taken apart once."""

    __slots__ = ("template",)

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.template = template

    def __hash__(self) -> int:
        return id(self.template)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.template is self.template


@lru_cache(maxsize=512)
def _prepared(key: _Same) -> Prepared:
    return prepared({name: value for name, value in key.template.items() if name != "inputs"})


def _twice(outer: Rule, inner: Rule) -> Callable[[Text], str]:
    """Both passes at once, where what the first puts in cannot make a tag for the second."""

    def fill_text(text: Text) -> str:
        if not text.plain:
            return render(parts(render(text, outer)), inner)
        out: list[str] = []
        for piece in text.pieces:
            if isinstance(piece, str):
                out.append(piece)
                continue
            found = resolve(piece, outer)
            if found is None:
                found = resolve(piece, inner)
                out.append("{{" + piece.raw + "}}" if found is None else found)
            elif "{" in found or "}" in found:
                return render(parts(render(text, outer)), inner)
            else:
                out.append(found)
        return "".join(out)

    return fill_text


# --- its inputs -----------------------------------------------------------------------------------------------------


def _supplied(
    declared: Mapping[str, Any], arguments: Mapping[str, Any], outer: Variables, catalog: Catalog
) -> dict[str, Any]:
    """The inputs with their values from the arguments; nothing is filled in yet."""
    parameters: Sequence[Mapping[str, Any]] = declared.get("parameters") or ()
    given = {p["name"]: p for p in arguments.get("parameters") or ()}
    values = [_valued(p, _value(p, given.get(p["name"]), outer, catalog)) for p in parameters]
    whole: dict[str, Any] = {**declared, "parameters": values}
    artifacts: Sequence[Artifact] = declared.get("artifacts") or ()
    if artifacts:
        located = {a["name"]: a for a in arguments.get("artifacts") or ()}
        whole["artifacts"] = [supplied_artifact(one, located.get(one["name"])) for one in artifacts]
    return whole


def _valued(parameter: Mapping[str, Any], value: str) -> dict[str, Any]:
    valued = {**parameter, "value": value}
    valued.pop("valueFrom", None)
    return valued


def _value(declared: Mapping[str, Any], given: Mapping[str, Any] | None, known: Variables, catalog: Catalog) -> str:
    name, value = declared["name"], declared.get("value")
    value = declared.get("default") if value is None else value
    if given is not None and given.get("value") is ABSENT_ARGUMENT:
        if value is None and not declared.get("valueFrom"):
            raise ConfigError(f"inputs.parameters.{name}: argument references an absent optional "
                              "(skipped/omitted node output with no default)")  # fmt: skip
    elif given is not None and given.get("value") is not None:
        return inert(given["value"])  # it has been filled in where the step stands; what is left in it is data
    elif given is not None and (given.get("valueFrom") or {}).get("configMapKeyRef"):
        return _from_config_map(name, given["valueFrom"], known, catalog)
    source: Mapping[str, Any] = declared.get("valueFrom") or {}
    if source.get("configMapKeyRef"):
        return _from_config_map(name, source, known, catalog)
    if value is None:
        raise ConfigError(f"inputs.parameters.{name} was not supplied")
    return value


def _from_config_map(name: str, source: Mapping[str, Any], known: Variables, catalog: Catalog) -> str:
    try:
        return config_map_value(source, catalog, known)
    except ConfigError as error:
        raise ConfigError(f"unable to retrieve inputs.parameters.{name} from ConfigMap: {error}") from error


def _check_enum(parameter: Mapping[str, Any]) -> None:
    allowed: list[str] | None = parameter.get("enum")
    if allowed and "{{" not in parameter["value"] and parameter["value"] not in allowed:
        raise ConfigError(f"inputs.parameters.{parameter['name']} value '{parameter['value']}' is not in its enum list "
                          f"{', '.join(allowed)}")  # fmt: skip


class _Own(Known):
    """The variables that a template has of itself: its inputs, and the paths of its files."""

    __slots__ = ("_parameters", "_table")

    def __init__(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any], outer: Variables) -> None:
        self._parameters: Sequence[Mapping[str, Any]] = inputs["parameters"]
        self._table: dict[str, str | Artifact | None] = {}
        super().__init__(self._table)
        for parameter in self._parameters:
            self._table[f"inputs.parameters.{parameter['name']}"] = parameter["value"]
        for side, given in (("inputs", inputs), ("outputs", outputs)):
            for artifact in given.get("artifacts") or ():
                if artifact.get("path"):
                    self._table[f"{side}.artifacts.{artifact['name']}.path"] = replace(artifact["path"], outer)
        for parameter in outputs.get("parameters") or ():
            path = (parameter.get("valueFrom") or {}).get("path")
            if path:
                self._table[f"outputs.parameters.{parameter['name']}.path"] = replace(path, outer)

    def __call__(self, tag: str, /) -> Found:
        if tag == "inputs.parameters" and tag not in self._table:  # as one text, which few ask for
            # Go writes a list that is not there as null.
            self._table[tag] = go_json([parameter_json(p) for p in self._parameters] or None)
        return super().__call__(tag)
