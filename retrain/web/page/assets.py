"""The page's own files: their addresses have a hash of what is in them, so that a browser may keep them for good."""

from __future__ import annotations

from functools import cache, lru_cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

PLACE = "/ui/static/"
FOR_GOOD = "public, max-age=31536000, immutable"
FOR_A_WHILE = "public, max-age=3600"


def folder() -> Path:
    """Where they are."""
    return Path(str(files("retrain.web") / "static"))


@cache
def asset(name: str) -> str:
    """The address of a file, as views have it."""
    return f"{PLACE}{name}?v={_hash(name)}"


def lasts(path: str, query: str) -> str:
    """How long a browser may keep what this address gives: for good, if it names what is there now."""
    known = query.startswith("v=") and query == f"v={_hash(path.removeprefix(PLACE))}"
    return FOR_GOOD if known else FOR_A_WHILE


@lru_cache(maxsize=256)  # whoever asks chooses the name
def _hash(name: str) -> str:
    file = (folder() / name).resolve()
    if not (file.is_relative_to(folder().resolve()) and file.is_file()):
        return ""
    return blake2b(file.read_bytes(), digest_size=6).hexdigest()
