"""The approved model becomes a commit in the Git repository that Argo CD or Flux deploys from.

A `Promotion` names the repository, the environments in order, the fields to edit and the gates. `submit` writes a
candidate down; the `Promoter` judges it against what Git says is live, waits for people and times (`barrier`), commits
with plumbing, and pushes with a lease, over again from the branch's new tip whenever somebody was faster. `desk` takes
what people ask for; `follower` takes models to their next environment.

Pure parts: `edits`, `gates`, `derive`, `record`, `states`, `clearance`, `approvals`, `freeze`. Those with I/O: `git`,
`attempt`, `promoter`, `follower`, `people`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.plan import place
    from deploy.promoter import Promoter, Settings
    from deploy.proposals import PromotionRequest, submit
    from deploy.spec import PromotionDocument, check

_PLACES = {
    "place": "plan",
    **dict.fromkeys(("Promoter", "Settings"), "promoter"),
    **dict.fromkeys(("PromotionRequest", "submit"), "proposals"),
    **dict.fromkeys(("PromotionDocument", "check"), "spec"),
}


def __getattr__(name: str) -> Any:
    """Forges, gates, registries and Git come with each of these: a project without Promotions does not pay for it."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


__all__ = ["Promoter", "PromotionDocument", "PromotionRequest", "Settings", "check", "place", "submit"]
