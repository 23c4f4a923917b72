"""Which fields of an object decide on rights, and what of two versions of an object differs in them. Pure.

Fields are known by their names at any depth, so that the pod templates of Jobs and of training operators count like
those of Workflows, and whatever their capitals: a patch of a pod is read without regard to them (by Go, to which the
long s is an s, too).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, cast

from pipelines.kubernetes.guarded_fields import (
    FIELDS,
    HARMLESS,
    OURS,
    RESTRICTS,
    SPARK,
    SPARK_HARMLESS,
    VOLUMES,
    Choice,
    Rule,
)

Path = tuple[str, ...]


class _Missing:
    """Nothing is there; None is something."""


MISSING = _Missing()


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[Choice]:
    """What of `after` is guarded and is not as in `before`; of an object, or of a part of one.

    `MISSING` as `before` gives everything that is guarded in `after`.
    """
    if before is after:  # most of an object is shared by both; to compare all of it would cost more than to walk
        return
    if isinstance(after, dict):
        yield from _of_mapping(_mapping(before), cast("dict[str, Any]", after), path)
    elif is_list(after):
        yield from _of_list(before if is_list(before) else (), after, path)
    if type(before) is not type(after):
        yield from _taken_away(before, path)


def _of_mapping(before: Mapping[str, Any], after: Mapping[str, Any], path: Path) -> Iterator[Choice]:
    for name in {**before, **after}:
        old, new = before.get(name, MISSING), after.get(name, MISSING)
        if old is new:
            continue
        at = (*path, str(name))
        look = _guard(at)
        if look is not None:
            yield from look(old, new, at) if old != new else ()
        elif new is MISSING:
            yield from _taken_away(old, at)
        else:
            yield from differences(old, new, at)


def _of_list(before: Sequence[Any], after: Sequence[Any], path: Path) -> Iterator[Choice]:
    for index, (old, new) in enumerate(zip_longest(before, after, fillvalue=MISSING)):
        if old is not new:
            yield from differences(old, new, (*path, str(index)))


def _taken_away(before: Any, path: Path) -> Iterator[Choice]:
    """Fields of `before` that took rights away, now that it is gone."""
    for one in differences(MISSING, before, path) if isinstance(before, dict) or is_list(before) else ():
        if one.rule in RESTRICTS:
            yield Choice(one.path, one.rule, "")
    yield from _lost_bounds(before, path)


def _lost_bounds(before: Any, path: Path) -> Iterator[Choice]:
    """As `_taken_away`, for the values that nobody minds as long as they are there."""
    if isinstance(before, dict):
        for name, value in cast("Mapping[str, Any]", before).items():
            at = (*path, str(name))
            if value in HARMLESS.get(str(name).casefold(), ()) and not isinstance(value, dict | list):
                rule = FIELDS.get(str(name).casefold(), Rule.SECURITY)
                if rule in RESTRICTS:
                    yield Choice(".".join(at), rule, "")
            yield from _lost_bounds(value, at)
    elif is_list(before):
        for index, value in enumerate(before):
            yield from _lost_bounds(value, (*path, str(index)))


# ---- guards: from a field's path to what looks at its two values ----

Look = Callable[[Any, Any, Path], Iterator[Choice]]


def _guard(path: Path) -> Look | None:
    name = path[-1].casefold()
    if name in FIELDS:
        return _whole
    if name.endswith("securitycontext"):
        return _security
    if name.endswith("secret"):
        return lambda old, new, at: _one(old, new, at, Rule.SECRET)
    if name.endswith("configmap"):
        return lambda old, new, at: _one(old, new, at, Rule.CONFIG_MAP)
    if name == "volumes":
        return _volumes
    if name in {"envsecretkeyrefs", "sparkconf"}:
        return _secret_variables if name == "envsecretkeyrefs" else _spark_settings
    if name in {"labels", "annotations", "labelsfrom"}:
        return _marks
    return _placed(path, name)


def _placed(path: Path, name: str) -> Look | None:
    """Fields that are guarded in their place only."""
    above = path[-2].casefold() if len(path) > 1 else ""
    if name.startswith("$"):
        return lambda old, new, at: _one(old, new, at, Rule.OPERATION)
    if name == "namespace" and above == "metadata":
        return lambda old, new, at: _one(old, new, at, Rule.NAMESPACE)
    if path in {("kind",), ("apiVersion",)} or (above == "trialspec" and name in {"kind", "apiversion"}):
        return lambda old, new, at: _one(old, new, at, Rule.KIND)
    in_template = above in {"templatedefaults", "inline"} or (len(path) > 2 and path[-3].casefold() == "templates")
    if in_template and name == "http":
        return lambda old, new, at: _one(old, new, at, Rule.AGENT)
    return _resource if in_template and name == "resource" else None


def _resource(old: Any, new: Any, path: Path) -> Iterator[Choice]:
    """Of a template that makes objects, field by field: its manifest is a document of its own."""
    before, after = _mapping(old), _mapping(new)
    for name, value in after.items():
        if value != before.get(name, MISSING):
            yield Choice(".".join((*path, name)), Rule.RESOURCE, plain(value))


def _whole(_old: Any, new: Any, path: Path) -> Iterator[Choice]:
    name = path[-1].casefold()
    rule = FIELDS[name]
    if new is MISSING:
        if rule in RESTRICTS:
            yield Choice(".".join(path), rule, "")
    elif rule in {Rule.SECRET, Rule.CONFIG_MAP} and is_list(new):
        yield from (Choice(".".join(path), rule, _text(rule, one)) for one in new)
    elif not _harmless(name, new):
        text = _text(rule, new)
        yield Choice(".".join(path), rule, f"{path[-1]}={text}" if rule is Rule.HOST else text)


def _one(_old: Any, new: Any, path: Path, rule: Rule) -> Iterator[Choice]:
    if new is not MISSING:
        yield Choice(".".join(path), rule, _text(rule, new))


def _security(old: Any, new: Any, path: Path) -> Iterator[Choice]:
    """Field by field, so that a restriction alone may be chosen."""
    if not isinstance(new, dict):
        yield Choice(".".join(path), Rule.SECURITY, "" if new is MISSING else plain(new))
        return
    before, after = _mapping(old), cast("Mapping[str, Any]", new)
    for name in {**before, **after}:
        was, now = before.get(name, MISSING), after.get(name, MISSING)
        if was == now:
            continue
        at = (*path, str(name))
        if str(name).casefold() == "capabilities" and isinstance(now, dict):
            yield from _security({} if was is MISSING else was, now, at)
        elif not (_harmless(str(name).casefold(), now) or _restricts(str(name).casefold(), was, now)):
            yield Choice(".".join(at), Rule.SECURITY, "" if now is MISSING else f"{name}={plain(now)}")


def _restricts(name: str, was: Any, now: Any) -> bool:
    """Capabilities that are dropped beside those dropped before; the runtime's own seccomp profile."""
    if name == "drop" and is_list(now):
        return set(map(str, now)) >= set(map(str, was if is_list(was) else ()))
    return name == "seccompprofile" and now == {"type": "RuntimeDefault"}


def _volumes(old: Any, new: Any, path: Path) -> Iterator[Choice]:
    before, after = _entries(old), _entries(new)
    for index, volume in after.items():
        was = _mapping(before.get(index))
        for kind, source in _mapping(volume).items():
            if kind.casefold() in VOLUMES or was.get(kind) == source:
                continue
            yield from source_of(kind.casefold(), source, (*path, index, kind))


def _secret_variables(old: Any, new: Any, path: Path) -> Iterator[Choice]:
    for name, value in _mapping(new).items():
        if value != _mapping(old).get(name, MISSING):
            yield Choice(".".join((*path, name)), Rule.SECRET, _text(Rule.SECRET, value))


def _spark_settings(old: Any, new: Any, path: Path) -> Iterator[Choice]:
    for name, value in _mapping(new).items():
        if value != _mapping(old).get(name, MISSING) and name.startswith(SPARK) and name not in SPARK_HARMLESS:
            yield Choice(".".join((*path, name)), Rule.POD_SPEC_PATCH, f"{name}={plain(value)}")


def source_of(kind: str, source: Any, path: Path) -> Iterator[Choice]:
    """What a volume brings. `kind`: that of its source, in small letters."""
    match kind:
        case "hostpath":
            yield Choice(".".join(path), Rule.HOST_PATH, _text(Rule.HOST_PATH, source))
        case "secret":
            yield Choice(".".join(path), Rule.SECRET, str(_mapping(source).get("secretName")))
        case "configmap":
            yield Choice(".".join(path), Rule.CONFIG_MAP, str(_mapping(source).get("name")))
        case _:
            yield Choice(".".join(path), Rule.VOLUME, path[-1])


def _marks(old: Any, new: Any, path: Path) -> Iterator[Choice]:
    before = _mapping(old)
    for name, value in _mapping(new).items():
        if value != before.get(name, MISSING) and is_ours(name):
            yield Choice(".".join((*path, name)), Rule.METADATA, f"{name}={value}")
    for name in before:
        if name not in _mapping(new) and is_ours(name):
            yield Choice(".".join((*path, name)), Rule.METADATA, "")


# ---- values ----


def _harmless(name: str, value: Any) -> bool:
    return not isinstance(value, dict | list) and value is not MISSING and value in HARMLESS.get(name, ())


def _text(rule: Rule, value: Any) -> str:
    """The name by which a value is allowed: of a reference the name of what it refers to."""
    if isinstance(value, dict):
        found = cast("Mapping[str, Any]", value)
        match rule:
            case Rule.HOST_PATH:
                return str(found.get("path"))
            case Rule.TEMPLATE:
                return f"{'cluster/' if found.get('clusterScope') else ''}{found.get('name')}"
            case Rule.SECRET | Rule.CONFIG_MAP:
                return str(found.get("name"))
            case Rule.ARTIFACTS:
                return f"{found.get('configMap')}/{found.get('key')}"
            case _:
                return plain(found)
    return plain(value)


def plain(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def is_ours(mark: str) -> bool:
    """Whether a label or annotation is one of those that an event does not set."""
    return str(mark).casefold().startswith(OURS)


def is_list(value: Any) -> bool:
    """Whether it is a list of JSON."""
    return isinstance(value, list)


def _entries(value: Any) -> Mapping[str, Any]:
    """Of a list by index; a JSON patch names one member of it."""
    return {str(index): one for index, one in enumerate(value)} if is_list(value) else _mapping(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
