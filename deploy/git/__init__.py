"""The deployment repository, by the `git` program's plumbing and with no work tree. Blocks: for worker threads.

`command` runs git and tells its errors apart; `repository` fetches, reads, commits and pushes; `spec` is what the user
writes of both.
"""

from deploy.git.command import AuthFailed, Git, GitFailed, Race, Rejected, classify, scrub
from deploy.git.repository import Author, Repository

__all__ = ["AuthFailed", "Author", "Git", "GitFailed", "Race", "Rejected", "Repository", "classify", "scrub"]
