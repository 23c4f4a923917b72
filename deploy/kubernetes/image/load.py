"""Whether all that is compiled still loads after `prune.sh`: `load.py ENVIRONMENT`, with its own Python.

Libraries open most of it when they are first used, which is long after an image was built.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path


def main(environment: Path) -> None:
    """Load each one. Ends with an error that names those that cannot be."""
    wrong = {path: said for path in sorted(environment.rglob("*.so*")) if (said := _loaded(path))}
    if wrong:
        sys.exit("\n".join(f"{path}: {said}" for path, said in wrong.items()))


def _loaded(path: Path) -> str:
    """What is wrong with it. All its symbols are looked up now."""
    try:
        ctypes.CDLL(str(path), os.RTLD_NOW)
    except OSError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
