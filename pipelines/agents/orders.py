"""From a `resource` template to what is to be done: the action, the object, the manifest, the flags with a meaning.

Source: `getKubectlArguments` of Argo's executor, and kubectl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from pipelines.agents.admission import Maker, not_held, ref_in
from pipelines.agents.objects import KINDS, Ref
from pipelines.agents.port import Owner, TaskRun
from pipelines.core.happenings import Task
from retrain.errors import ConfigError
from retrain.manifests.reading import Unreadable, read

Action = Literal["get", "create", "apply", "delete", "replace", "patch"]
ACTIONS: tuple[Action, ...] = ("get", "create", "apply", "delete", "replace", "patch")
STRATEGIES = ("strategic", "merge", "json")
MAX_MANIFEST = 1024 * 1024
"""Characters."""
RETRIES = "retrain.dev/retries"
"""The label of a run that counts how often it was retried."""

_SHORT = {"cm": "ConfigMap", "pvc": "PersistentVolumeClaim", "wf": "Workflow"}
_WORDS = {kind.lower() + end: kind for kind in (*KINDS, "Workflow") for end in ("", "s")} | _SHORT
_WITHOUT_MEANING = ("--validate", "--record", "--save-config", "--wait", "--timeout", "--grace-period", "--cascade",
                    "--field-manager", "--overwrite")  # fmt: skip
"""Flags that change nothing here: they are about how a cluster is spoken to."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do with which object. `manifest` is a map, but for a JSON patch a list of operations, and {} for none."""

    action: Action
    ref: Ref
    manifest: Any
    strategy: str
    maker: Maker
    ignore_missing: bool = False

    @property
    def body(self) -> Mapping[str, Any]:
        """The manifest, where it is to be a map.

        Raises:
            ConfigError: it is none.
        """
        if not isinstance(self.manifest, Mapping):
            raise ConfigError("the manifest is no map")
        return cast("Mapping[str, Any]", self.manifest)


@dataclass(frozen=True, slots=True)
class _Flags:
    ref: Ref | None
    ignore_missing: bool


def order_of(task: Task, run: TaskRun, manifest: str, now: datetime) -> Order:
    """What a task asks for; `manifest` is the text of its manifest.

    Raises:
        ConfigError: what is wrong, or what needs a cluster.
    """
    resource: Mapping[str, Any] = task.template.get("resource") or {}
    action = resource.get("action")
    if action not in ACTIONS:
        raise ConfigError(f"resource.action is {action!r}; it must be one of {', '.join(ACTIONS)}")
    strategy = str(resource.get("mergeStrategy") or "strategic")
    if strategy not in STRATEGIES:
        raise ConfigError(f"resource.mergeStrategy is {strategy!r}; it must be one of {', '.join(STRATEGIES)}")
    again = str(run.labels.get(RETRIES) or "")
    node_id = f"{task.node_id}/{again}" if again else task.node_id
    owned = bool(resource.get("setOwnerReference"))
    owner = Owner(run.run_id, run.name, run.uid, node_id, run.namespace, owned)
    maker = Maker(owner, now)
    flags = _flags([str(flag) for flag in resource.get("flags") or ()], run.namespace)
    value = read_manifest(manifest) if manifest.strip() else {}
    if not value and flags.ref is None:
        raise ConfigError("Must provide at least one of flags or manifest.")
    if flags.ref is not None:
        if action not in ("get", "delete", "patch"):
            raise ConfigError(f"flags name {flags.ref.kind} {flags.ref.name}; {action} takes it from the manifest")
        return Order(action, flags.ref, value, strategy, maker, flags.ignore_missing)
    if not isinstance(value, Mapping):
        raise ConfigError("the manifest is no map with apiVersion, kind and metadata")
    body = cast("Mapping[str, Any]", value)
    return Order(action, ref_in(body, maker), body, strategy, maker, flags.ignore_missing)


def read_manifest(text: str) -> Any:
    """The one document of a manifest.

    Raises:
        ConfigError: it is no YAML, too long, or more than one document.
    """
    if len(text) > MAX_MANIFEST:
        raise ConfigError(f"the manifest has {len(text)} characters, {MAX_MANIFEST} are allowed")
    found: list[Any] = []
    try:
        for one in read(text):
            for complaint in one.complaints:
                raise complaint
            if one.value is not None:
                found.append(one.value)
    except Unreadable as error:
        raise ConfigError(f"the manifest, line {error.line}, column {error.column}: {error.message}") from None
    if len(found) != 1:
        raise ConfigError(f"the manifest has {len(found)} documents; one resource template is for one object")
    return found[0]


def _flags(flags: Sequence[str], namespace: str) -> _Flags:
    words: list[str] = []
    ignore = False
    rest = iter(flags)
    for flag in rest:
        name, _, value = flag.partition("=")
        if name in {"-n", "--namespace"}:
            asked = value or next(rest, "")
            if asked != namespace:
                raise ConfigError(f"flag {flag} {asked}: locally a project is one namespace, the run's is {namespace}")
        elif name == "--ignore-not-found":
            ignore = value in {"", "true"}
        elif name in _WITHOUT_MEANING:
            continue
        elif flag.startswith("-"):
            raise ConfigError(f"flag {flag} is not done locally; without kubectl only names of objects have a meaning")
        else:
            words.append(flag)
    return _Flags(_ref(words), ignore)


def _ref(words: Sequence[str]) -> Ref | None:
    """`KIND NAME` or `KIND/NAME`."""
    if not words:
        return None
    parts = words[0].split("/") if len(words) == 1 else list(words)
    if len(parts) != 2:
        raise ConfigError(f"flags {' '.join(words)}: one object can be named, as KIND NAME or KIND/NAME")
    kind = _WORDS.get(parts[0].lower().removesuffix(".argoproj.io"))
    if kind is None:
        raise not_held(parts[0], parts[0])
    return Ref(kind, parts[1])
