"""Forges: a promotion's commit is proposed as a pull request on GitHub, GitLab, Gitea, Forgejo or Bitbucket Cloud.

`port` says what is asked of a forge, one file per kind asks it over `http`. Pure parts: `pulls` (what to do next about
a pull request), `words` (its title and text), `spec` (what users write). `kinds` has the table and `open_forge`.
"""

from deploy.forges.errors import AuthFailed, Declined, NotMergeable, Race, RateLimited, Rejected
from deploy.forges.kinds import KINDS, Kind, open_forge
from deploy.forges.port import Decoration, Forge, Head, Merge, Opening, PullRequest, Review, Status
from deploy.forges.pulls import Action, Branch, Mine, Wish, branch_of, decide
from deploy.forges.spec import PullRequestSpec

__all__ = [
    "KINDS",
    "Action",
    "AuthFailed",
    "Branch",
    "Declined",
    "Decoration",
    "Forge",
    "Head",
    "Kind",
    "Merge",
    "Mine",
    "NotMergeable",
    "Opening",
    "PullRequest",
    "PullRequestSpec",
    "Race",
    "RateLimited",
    "Rejected",
    "Review",
    "Status",
    "Wish",
    "branch_of",
    "decide",
    "open_forge",
]
