"""What a step says of its progress: `N/M` in the file $ARGO_PROGRESS_FILE.

Source: https://argo-workflows.readthedocs.io/en/latest/progress/
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_PROGRESS = re.compile(r"([0-9]{1,12})/([0-9]{1,12})")


def read_progress(path: Path) -> str:
    """The last line of the file if it is a progress that can be; else nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        size = os.fstat(descriptor).st_size
        text = os.pread(descriptor, 64, max(0, size - 64)).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
    found = _PROGRESS.fullmatch(text.strip().rpartition("\n")[2].strip())
    return found[0] if found and 0 < int(found[2]) >= int(found[1]) else ""
