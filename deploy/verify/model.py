"""The model's bytes, where they can be reached from here: a file on this machine."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path

from deploy.folder import digest_of_folder
from deploy.names import local_path, one_line, scheme
from deploy.verify.judging import Check


def check_model(uri: str, digest: str, root: Path) -> Check:
    """Whether the file at `uri` has the digest; relative paths start at `root`."""
    here = local_path(uri) if ":" not in uri.partition("://")[0] and scheme(uri) == "path" else None
    if here is None:
        return Check("model", "unknown", f"not here: {one_line(uri, 120)}")
    file = root / here
    try:
        if file.is_dir():
            return _check_folder(file, digest)
        with file.open("rb") as opened:
            found = f"sha256:{file_digest(opened, 'sha256').hexdigest()}"
    except OSError as error:
        return Check("model", "unknown", f"not here: {type(error).__name__}: {one_line(str(file), 120)}")
    if not digest.startswith("sha256:"):
        return Check("model", "unknown", f"its digest is a {digest.partition(':')[0]}, only sha256 is checked here")
    if found != digest:
        return Check("model", "no", f"the file has the digest {found}, live is {digest}")
    return Check("model", "yes", f"{one_line(str(file), 120)} has the digest")


def _check_folder(folder: Path, digest: str) -> Check:
    """Whether its files have the digest. Another may still be right: that of an archive, say."""
    name = one_line(str(folder), 120)
    if digest_of_folder(folder) == digest:
        return Check("model", "yes", f"the files of {name} have the digest")
    return Check("model", "unknown", f"not one file but a folder: {name}; its files give another digest")
