"""Reading a file that a manifest or a candidate names, up to a bound."""

from __future__ import annotations

from pathlib import Path

from retrain.errors import Permanent


def read_at_most(path: Path, most: int, shown: str) -> bytes:
    """The file's bytes. `shown`: what the error calls it. Where it lies is the caller's to check.

    Raises:
        Permanent: it cannot be read, or has more than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Permanent(f"{shown} cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise Permanent(f"{shown} has more than {most} bytes")
    return data
