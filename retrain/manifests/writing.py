"""JSON -> YAML that Kubernetes reads back as the same JSON.

PyYAML leaves `y`, `1e3` and `0o17` bare, which are text to it but a boolean and numbers to Kubernetes: here every text
that Kubernetes would read as something else is quoted.
"""

from __future__ import annotations

import re

import yaml

from retrain.events import JsonValue
from retrain.manifests.scalars import resolve

_BREAKS = re.compile("[\x85\u2028\u2029\ufeff]")
"""Line breaks to YAML 1.1, characters like others to everyone else; and the byte order mark."""


class _Dumper(yaml.SafeDumper):
    """Quotes by Kubernetes' rules, and writes several lines as a block."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write a value again where it stands twice."""
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    if not isinstance(resolve(value), str):
        style = "'"
    if _BREAKS.search(value):
        style = '"'  # only there they can be written as escapes
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _text)


def to_yaml(value: JsonValue) -> str:
    """The value as one YAML document, keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
