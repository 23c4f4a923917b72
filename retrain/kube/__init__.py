"""The one adapter to a Kubernetes API server.

Here belong how it is reached, requests and watches, and the errors that its answers mean. What an object means to
a source, a promotion or a run is none of this room's business.
"""

from __future__ import annotations

from retrain.kube.cluster import Cluster, Patch, cluster
from retrain.kube.refusals import (
    AdmissionRefused,
    AlreadyExists,
    Busy,
    Conflict,
    Denied,
    Expired,
    Invalid,
    KindMissing,
    NamespaceMissing,
    QuotaExceeded,
    Unreachable,
)
from retrain.kube.resources import Resource, path_of
from retrain.kube.streams import Stream

__all__ = [
    "AdmissionRefused",
    "AlreadyExists",
    "Busy",
    "Cluster",
    "Conflict",
    "Denied",
    "Expired",
    "Invalid",
    "KindMissing",
    "NamespaceMissing",
    "Patch",
    "QuotaExceeded",
    "Resource",
    "Stream",
    "Unreachable",
    "cluster",
    "path_of",
]
