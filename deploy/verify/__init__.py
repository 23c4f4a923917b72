"""Whether a promotion's commit is what it says it is, by the repository alone and without a platform.

`history` reads the repository, `judging` judges what was read (pure), `model` looks at the model's bytes.
"""

from deploy.verify.history import Keys, examine
from deploy.verify.judging import Check, judge

__all__ = ["Check", "Keys", "examine", "judge"]
