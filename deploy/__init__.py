"""The approved model becomes a commit in the Git repository that Argo CD or Flux deploys from.

A `Promotion` names the repository, the environments in order, the fields to edit and the gates. `submit` writes a
candidate down; the `Promoter` judges it against what Git says is live, waits for people and times (`barrier`), commits
with plumbing, and pushes with a lease, over again from the branch's new tip whenever somebody was faster. `desk` takes
what people ask for; `follower` takes models to their next environment.

Pure parts: `edits`, `gates`, `derive`, `record`, `states`, `clearance`, `approvals`, `freeze`. Those with I/O: `git`,
`attempt`, `promoter`, `follower`, `people`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrain.lazily import lazily

if TYPE_CHECKING:
    from deploy.plan import place
    from deploy.promoter import Promoter, Settings
    from deploy.proposals import PromotionRequest, submit
    from deploy.spec import PromotionDocument, check

# Forges, gates, registries and Git come with each of these: a project without Promotions does not pay for it.
__getattr__ = lazily(
    __name__,
    {
        "place": "plan",
        **dict.fromkeys(("Promoter", "Settings"), "promoter"),
        **dict.fromkeys(("PromotionRequest", "submit"), "proposals"),
        **dict.fromkeys(("PromotionDocument", "check"), "spec"),
    },
)

__all__ = ["Promoter", "PromotionDocument", "PromotionRequest", "Settings", "check", "place", "submit"]
