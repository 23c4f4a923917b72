"""The demo's deployment repository: bare, on this machine; and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}
TEAM = ("-c", "user.name=Platform team", "-c", "user.email=team@localhost")


class Failure(Exception):
    """The story did not happen: what should have been true."""


class Repository:
    """A bare Git repository. `manifest`: the file that names the live model."""

    def __init__(self, path: Path, manifest: str) -> None:
        self.path = path
        self.manifest = manifest

    def make(self, *folders: Path) -> None:
        """Make it, with what is in the folders as its first commit."""
        tree = self.path.with_suffix("")
        for folder in folders:
            shutil.copytree(folder, tree, dirs_exist_ok=True)
        git(tree, "init", "--quiet", "--initial-branch=main")
        git(tree, "add", ".")
        git(tree, *TEAM, "commit", "--quiet", "-m", "Deploy digits to staging and production")
        git(tree.parent, "clone", "--quiet", "--bare", tree.name, self.path.name)
        shutil.rmtree(tree)

    def head(self) -> str:
        """The newest commit."""
        return git(self.path, "rev-parse", "main").strip()

    def commits(self) -> list[str]:
        """One line for each commit, newest first."""
        return git(self.path, "log", "--format=%h %an: %s", "main").splitlines()

    def live(self, commit: str = "main") -> str:
        """The line of the manifest that names the live model, at a commit."""
        text = git(self.path, "show", f"{commit}:{self.manifest}")
        return next(line.strip() for line in text.splitlines() if "storageUri:" in line)


def git(where: Path, *words: str) -> str:
    """What a git command prints, without the settings of whoever runs the demo.

    Raises:
        Failure: it did not work; git's words.
    """
    done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True, env={**os.environ, **QUIET})
    if done.returncode != 0:
        raise Failure(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
