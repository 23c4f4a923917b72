"""What a reconciler has to say of an object: a condition in its status, and a Kubernetes Event when that changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """A condition of the object `namespace/name`: `type` (`Deployed`) is `status`, because of `reason` (one word).

    `warning`: the Event that tells of it is of the type Warning.
    """

    kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str
    warning: bool = False
    status: bool = True
