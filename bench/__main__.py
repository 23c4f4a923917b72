"""All measurements, one after the other; the table at the end, and the same as JSON in `bench.json`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.report import draw

MODULES = (
    *("bus", "webhook", "sources", "chain", "evaluation", "sensors", "joins"),
    *("spawn", "steps", "workflows", "artifacts", "promotion", "edits", "objects", "footprint", "page"),
    *("kubernetes", "kubernetes_watch", "kubernetes_kills", "kubernetes_operator"),
)
LIMIT_S = 900


def main() -> int:
    """Measure; 1 if one of them could not be made. A missed goal is a result, not a failure."""
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")] or MODULES
    results: list[dict[str, object]] = []
    for name in wanted:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", "--json"], stdout=subprocess.PIPE, timeout=LIMIT_S, check=False
        )
        if done.returncode != 0:
            print(f"{name} failed with {done.returncode}", file=sys.stderr)
            return 1
        results.append(json.loads(done.stdout))
    load = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} cores, load {load:.1f}; every peer was measured in the same run\n")
    draw([row for result in results for row in result["rows"]])  # type: ignore[union-attr]
    Path("bench.json").write_text(json.dumps({"cores": os.cpu_count(), "load": load, "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
