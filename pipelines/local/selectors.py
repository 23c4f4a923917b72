"""Which machine a step asks for. Pure.

A local step has this one, whatever its `nodeSelector` says of pools and zones. But what could never run here as it is
meant, another system or a processor that nobody builds, waits as it would wait in a cluster that has no such node:
until its deadline. Where there is none it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.core.plan import Plan
from pipelines.local.reach import reachable_templates

_LABELS: Mapping[str, frozenset[str]] = {
    "os": frozenset({"linux"}),
    # Steps are programs of this machine and not of an image: which of these it is makes no difference to a script.
    "arch": frozenset({"amd64", "arm64", "arm", "386", "ppc64le", "s390x", "riscv64"}),
}
_PREFIXES = ("kubernetes.io", "beta.kubernetes.io")


def misplaced(template: Mapping[str, Any], spec: Mapping[str, Any]) -> str:
    """The label, as `kubernetes.io/os=windows`, that this machine can never have; empty: it may run here.

    The template's selector counts in place of the workflow's, as in Argo.
    """
    selector: Mapping[str, Any] = template.get("nodeSelector") or spec.get("nodeSelector") or {}
    for label, value in selector.items():
        prefix, _, name = label.rpartition("/")
        known = _LABELS.get(name) if prefix in _PREFIXES else None
        if known is not None and "{{" not in str(value) and str(value) not in known:
            return f"{label}={value}"
    return ""


def ends_by_itself(template: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether a step that never starts comes to an end, through a deadline."""
    limits = (spec.get("activeDeadlineSeconds"), template.get("activeDeadlineSeconds"), template.get("timeout"))
    return any(limit is not None for limit in limits)


def no_such_node(label: str) -> str:
    """What to say of a step that asks for it, and has no deadline."""
    return f"nodeSelector {label}: this machine is not such a node, and without a deadline the step would wait for ever"


def check_selectors(plan: Plan) -> list[str]:
    """Every template of a workflow that would wait for ever, each said once."""
    problems: list[str] = []
    for template in reachable_templates(plan):
        label = misplaced(template, plan.spec)
        if label and not ends_by_itself(template, plan.spec) and any(template.get(kind) for kind in _PODS):
            problems.append(f"template {template.get('name')!r}: {no_such_node(label)}")
    return problems


_PODS = ("container", "script", "containerSet")
