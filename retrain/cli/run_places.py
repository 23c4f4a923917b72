"""Where in a user's files something stands that a cluster has refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrain.errors import ConfigError

if TYPE_CHECKING:
    from retrain.kube import Invalid
    from retrain.manifests.document import Document

_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


def placed(error: Invalid, documents: Sequence[tuple[Document, str]]) -> ConfigError:
    """The refusal with the lines of the fields that it names. `documents`: with the names that their objects have.

    What names no field of any of them stays as it is.
    """
    marks = [
        str(document.at(path_of(field)))
        for document, name in documents
        if re.search(rf'\b{re.escape(document.kind)}(\.\S+)? "{re.escape(name)}" is invalid', str(error))
        for field in error.fields
    ]
    return ConfigError(f"{', '.join(marks)}: {error}") if marks else error


def path_of(field: str) -> tuple[str | int, ...]:
    """A field as a Kubernetes server writes it: `spec.templates[0].name`, `metadata.labels[a.b/c]`."""
    return tuple(plain or (int(inner) if inner.isdecimal() else inner) for plain, inner in _STEP.findall(field))
