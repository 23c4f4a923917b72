"""The cluster as a part of the platform: one connection for all who need it, and what is done there for runs."""

from __future__ import annotations

from retrain.app.kubernetes.part import Kubernetes

__all__ = ["Kubernetes"]
