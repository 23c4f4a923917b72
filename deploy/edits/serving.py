"""What a serving system would ignore or refuse of an edited file, told before it is committed.

Source: https://github.com/kserve/kserve/issues/5335 (canaryTrafficPercent is silently ignored outside of Knative) and
https://github.com/kserve/kserve/pull/5672 (spec.canary, since v0.20, is for the Standard mode only).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deploy.edits import selector
from deploy.edits.refusal import EditRefused
from deploy.edits.selector import Key
from deploy.edits.splice import parse
from deploy.edits.tree import Node
from deploy.edits.walk import Target, find, reading

MODE = "serving.kserve.io/deploymentMode"
_STANDARD = frozenset({"Standard", "RawDeployment", "ModelMesh"})
_KNATIVE = frozenset({"Knative", "Serverless"})


def warnings(data: bytes, file: str, targets: Sequence[Target]) -> list[str]:
    """What is said of the edits of a file, as it is after them. The mode must be in the file: its annotation."""
    if not file.lower().endswith((".yaml", ".yml")) or b"canary" not in data:
        return []
    try:
        tree = parse(data.decode("utf-8-sig"), "yaml", file)
    except (EditRefused, UnicodeDecodeError):
        return []  # the edit itself says so
    said: list[str] = []
    for target in targets:
        try:
            root = find(tree, target, file, partly=True, absent=True).trail[0]
        except EditRefused:
            continue
        said += _of(root, target, file)
    return list(dict.fromkeys(said))


def _of(root: Node, target: Target, file: str) -> Iterable[str]:
    mode = reading(root, ("metadata", "annotations", MODE)) or ""
    if reading(root, ("kind",)) != "InferenceService":
        return
    shown = selector.show(target.path)
    keys = [step.name for step in target.path if isinstance(step, Key)]
    if keys[-1:] == ["canaryTrafficPercent"] and mode in _STANDARD:
        yield (
            f"{file}: {shown} is ignored: the annotation {MODE} is {mode}, and canaryTrafficPercent works with Knative "
            "only; all traffic would go to the new model at once. Use spec.canary (KServe v0.20)"
        )
    if keys[:2] == ["spec", "canary"] and mode in _KNATIVE:
        yield f"{file}: {shown} is refused by KServe: the annotation {MODE} is {mode}, and spec.canary needs Standard"
