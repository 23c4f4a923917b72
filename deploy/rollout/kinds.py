"""The kinds of checks that are built in."""

from __future__ import annotations

from deploy.rollout import argocd, flux, http, kserve, prometheus
from deploy.rollout.check import Kind

KINDS: dict[str, Kind] = {
    "argocd": argocd,
    "flux": flux,
    "http": http,
    "kserve": kserve,
    "prometheus": prometheus,
}
