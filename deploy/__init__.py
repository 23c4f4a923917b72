"""The approved model becomes a commit in the Git repository that Argo CD or Flux deploys from.

A `Promotion` names the repository, the environments in order, the fields to edit and the gates. `submit` writes a
candidate down; the `Promoter` judges it against what Git says is live, waits for people and times (`barrier`), commits
with plumbing, and pushes with a lease, over again from the branch's new tip whenever somebody was faster. `desk` takes
what people ask for; `follower` takes models to their next environment.

Pure parts: `edits`, `gates`, `derive`, `record`, `states`, `clearance`, `approvals`, `freeze`. Those with I/O: `git`,
`attempt`, `promoter`, `follower`, `people`.
"""

from deploy.plan import place, plan
from deploy.promoter import Promoter, Settings
from deploy.proposals import PromotionRequest, submit
from deploy.spec import PromotionDocument, check

__all__ = ["Promoter", "PromotionDocument", "PromotionRequest", "Settings", "check", "place", "plan", "submit"]
