"""What a forge can answer that is no success, told apart by what the caller should do.

Transient            RateLimited        later; `after_s` says when
                     Race (deploy.git)  somebody moved a branch: look again, decide again
Permanent  Rejected  AuthFailed         the token is not known there, or may not
                     Declined           no, in the forge's own words
                     NotMergeable       this pull request cannot be merged now; nothing was merged
NotFound                                no such repository, branch or pull request, or the token may not see it
"""

from __future__ import annotations

from deploy.git import AuthFailed, Race, Rejected
from retrain.errors import Transient

__all__ = ["AuthFailed", "Declined", "NotMergeable", "Race", "RateLimited", "Rejected"]


class RateLimited(Transient):
    """Too many calls. The forge takes the next one in `after_s` seconds."""

    def __init__(self, message: str, after_s: float) -> None:
        super().__init__(message)
        self.after_s = after_s


class Declined(Rejected):
    """The forge says no. `status` is HTTP's, `said` the forge's words on one line."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status = status
        self.said = said


class NotMergeable(Rejected):
    """The pull request cannot be merged as things are; the forge's words say why."""
