"""Put the chosen model under the digest of its bytes, with a card that says where it comes from.

Gives `candidate`: what a promotion wants to know.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path

from lake import give


def written_by(code: str) -> dict[str, str]:
    """Where the model comes from: the newest commit of the Git repository of the training code."""
    words = ["git", "-C", code, "log", "-1", "--format=%H%n%an <%ae>%n%aI%n%s"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return {"repoUrl": f"file://{code}", **dict(zip(("commit", "author", "date", "subject"), said, strict=True))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--best", required=True, help="the chosen model, as JSON")
    parser.add_argument("--evaluation", required=True, help="its figures, as JSON")
    parser.add_argument("--batches", required=True, help="what it was trained on, as JSON")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--run", required=True, help="the run that made it")
    parser.add_argument("--code", default="", help="the Git repository of the training code; empty: none is named")
    options = parser.parse_args()

    best = json.loads(options.best)
    content = Path(best["file"]).read_bytes()
    digest = sha256(content).hexdigest()
    folder = options.models.resolve() / f"sha256-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = json.loads(options.evaluation)
    card = {
        "digest": f"sha256:{digest}",
        "family": best["family"],
        "rows": best["rows"],
        "batches": json.loads(options.batches),
        "run": options.run,
        "evaluation": evaluation,
    }
    for name, data in (("model.pickle", content), ("card.json", json.dumps(card, indent=2).encode())):
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.write_bytes(data)
        fresh.replace(folder / name)
    candidate = {
        "digest": f"sha256:{digest}",
        "uri": f"file://{folder}",
        "run": options.run,
        "parameters": {"family": best["family"], "rows": best["rows"], "batches": card["batches"]},
        "evaluation": evaluation,
    }
    if options.code:
        candidate["source"] = written_by(options.code)
    give("candidate", candidate)
    give("digest", f"sha256:{digest}")
    print(f"{best['family']} is sha256-{digest[:12]}")


if __name__ == "__main__":
    main()
