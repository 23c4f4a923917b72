"""`promotions verify`: whether a promotion's commit is what it says it is. Needs a repository and no platform."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from deploy.git import Git
from deploy.names import check_url, resolve_url
from deploy.provenance import load_public
from deploy.verify import Keys, examine, judge
from deploy.verify.history import History
from retrain.errors import ConfigError


def verify_commit(commit: str, repo: str, target: str, keys: Keys, root: Path) -> dict[str, Any]:
    """`{"commit", "record", "answer", "checks": [{"check", "answer", "why"}]}`; relative models lie below `root`.

    Raises:
        ConfigError: that is no repository's address, no commit's name, or no promotion.
        NotFound: there is no such commit.
        Transient, Permanent: the repository is away, or says no.
    """
    if why := check_url(repo):
        raise ConfigError(f"--repo {repo[:120]!r} {why}")
    with tempfile.TemporaryDirectory(prefix="retrain-verify-") as scratch:
        git = Git(Path(scratch) / "home", os.environ)
        history = History(git, resolve_url(repo, Path.cwd()), Path(scratch) / "git")
        sha, found = examine(history, commit, target, keys, root)
    checks = judge(found)
    return {
        "commit": sha,
        "record": found.record_file,
        "answer": "no" if any(check.answer == "no" for check in checks) else "yes",
        "checks": [{"check": one.check, "answer": one.answer, "why": one.why} for one in checks],
    }


def read_keys(signers: Path | None, gpg: Path | None, origin: Path | None) -> Keys:
    """Whose signatures count, from files.

    Raises:
        ConfigError: the key for statements of origin is none.
    """
    try:
        return Keys(
            allowed_signers=signers.read_text() if signers else "",
            gpg=gpg.read_text() if gpg else "",
            origin=load_public(origin.read_text()) if origin else None,
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"a key file cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from error
