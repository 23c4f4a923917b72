"""The deployment repository, by the `git` program's plumbing and with no work tree. Blocks: for worker threads.

`command` runs git and tells its errors apart; `repository` fetches, reads, commits and pushes; `spec` is what the user
writes of both.
"""

from deploy.git.command import Git
from deploy.git.errors import AuthFailed, GitFailed, Race, Rejected, classify, scrub
from deploy.git.lineage import Lineage
from deploy.git.repository import Repository
from deploy.git.writing import Author

__all__ = ["AuthFailed", "Author", "Git", "GitFailed", "Lineage", "Race", "Rejected", "Repository", "classify", "scrub"]
