"""The model registry beside the deployment repository: candidates come from it, and it is told what is live.

`spec` is what users write, `spoken` what MLflow says, `candidates` turns one of its versions into a candidate with a
digest, `marks` decides what its aliases and tags should say, `marker` is the loop that says it. The registry is never
asked what is live: Git is. Its aliases follow, late if need be, and hold no promotion up.
"""

from deploy.registry.spec import Mark, Registered, Registry

__all__ = ["Mark", "Registered", "Registry"]
