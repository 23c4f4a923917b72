"""The pull request way of a promotion: its commit goes to a branch of its own, and a person or the platform merges it.

`forges` knows the forges and decides about a pull request; here is what lies around it. Pure: `kept` (what the store
keeps), `step` (what follows from forge, gates and the last word), `telling` (what the pull request says). With I/O:
`ground` (git), `saving` (the store), `acting` (the forge), `proposing` and `puller` (one look of all of them), `tidy`
(closes what is left open).
"""

from deploy.pulling.looking import Task, Unjudged
from deploy.pulling.puller import Puller

__all__ = ["Puller", "Task", "Unjudged"]
