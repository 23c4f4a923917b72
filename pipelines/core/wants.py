"""Whose standard output a template reads: only of those steps is `outputs.result` kept, as upstream.

Source: `hasOutputResultRef` of Argo's controller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_READ = re.compile(r"""(?:steps|tasks)(?:\.([\w-]+)|\[\\?['"]([\w-]+)\\?['"]\])\.outputs\.result""")


def result_readers(template: Mapping[str, Any]) -> frozenset[str]:
    """The names of the steps or tasks whose result a `steps` or `dag` template mentions anywhere."""
    if not (template.get("steps") or template.get("dag")):
        return frozenset()
    return frozenset(match[1] or match[2] for match in _READ.finditer(json.dumps(template)))
