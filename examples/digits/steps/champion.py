"""Which model is live? Git knows: the deployment repo is asked, not a registry that may say something else.

Gives `digest` (empty where no model is live yet) and `batches`: what that model was trained on.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

from lake import card, give


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployment", required=True, help="URL of the deployment repo")
    parser.add_argument("--file", required=True, help="the manifest that names the live model")
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args()

    clone = Path("deployment")
    words = ["git", "clone", "--quiet", "--depth=1", "--", options.deployment, str(clone)]
    subprocess.run(words, check=True)
    found = re.search(r"storageUri:.*/sha256-([0-9a-f]{64})", (clone / options.file).read_text())
    digest = found[1] if found else ""
    live = card(options.models, digest)
    give("digest", digest if live else "")
    give("batches", live["batches"] if live else [])
    print(f"live in {options.file}: {digest[:12] or 'no model yet'}")


if __name__ == "__main__":
    main()
