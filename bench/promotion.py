"""What one promotion commit costs in a repository of many files, beside a clone, an edit, a commit and a push.

    python bench/promotion.py [--files 10000] [--rounds 7] [--json]

Ours: `deploy.attempt.run`, with a cold cache (the first promotion ever) and with a warm one (all later ones); gates,
record and the proof of the edit included. Peer: what a script does, `git clone --depth 1`, edit, `git commit`,
`git push`. Both over `file://`. The clone writes every file, so its time is the file system's: try TMPDIR=/dev/shm too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from deploy import PromotionDocument, attempt, candidate, place
from deploy.derive import Intent

MANIFEST = "apps/team007/app042/model.yaml"
TEXT = "apiVersion: v1\nkind: Model\nmetadata: {{name: m{n}}}\nspec:\n  storageUri: s3://models/m{n}/v0  # live\n"


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    command = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "init.defaultBranch=main", "-C", str(folder)]
    return subprocess.run([*command, *arguments], input=stdin, check=True, capture_output=True).stdout.decode().strip()


def generate(path: Path, files: int) -> Path:
    """A bare repository of `files` manifests, 100 to a team."""
    path.mkdir()
    git(path, "init", "-q", "--bare")
    git(path, "config", "uploadpack.allowFilter", "true")
    names = [MANIFEST, *(f"apps/team{n // 100:03}/app{n % 100:03}/model.yaml" for n in range(files))]
    stream = ["commit refs/heads/main\ncommitter b <b@b> 1 +0000\ndata 4\ninit\n"]
    for n, name in enumerate(dict.fromkeys(names)):
        text = TEXT.format(n=n)
        stream.append(f"M 100644 inline {name}\ndata {len(text)}\n{text}\n")
    git(path, "fast-import", "--quiet", stdin="".join(stream).encode())
    return path


def document(url: str) -> PromotionDocument:
    edit = {"file": MANIFEST, "path": "spec.storageUri", "value": "{{candidate.uri}}"}
    gates = [{"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9}]
    spec = {"repo": {"url": url}, "environment": "prod", "edits": [edit], "gates": gates}
    body = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": "bench"}, "spec": spec}
    return PromotionDocument.model_validate(body)


def ours(repo: Path, data: Path, number: int) -> None:
    digest = f"sha256:{number:064x}"
    body = {"digest": digest, "uri": f"s3://models/x/{number}", "metrics": {"accuracy": 0.95}}
    intent = Intent(f"p-{number}", digest[7:], "promote", digest, datetime.now(UTC), candidate.read(body))
    where = place(data, data, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    _, commit, derived = attempt.run(where, document(f"file://{repo}"), intent, lambda *_: True)
    assert commit is not None, derived


def peer(repo: Path, folder: Path, number: int) -> None:
    git(repo.parent, "clone", "-q", "--depth", "1", f"file://{repo}", str(folder))
    file = folder / MANIFEST
    lines = [
        f"  storageUri: s3://models/x/{number}p\n" if "storageUri" in x else x
        for x in file.read_text().splitlines(True)
    ]
    file.write_text("".join(lines))
    git(folder, "commit", "-qam", f"promote {number}")
    git(folder, "push", "-q", "origin", "HEAD:main")
    shutil.rmtree(folder)


def median(work: Callable[[int], Any], rounds: int) -> float:
    """Milliseconds."""
    taken: list[float] = []
    for number in range(rounds):
        start = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def measure(files: int, rounds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        repo = generate(root / "repo.git", files)
        theirs = median(lambda n: peer(repo, root / f"clone{n}", n), rounds)
        cold = median(lambda n: ours(repo, root / f"cold{n}", 1000 + n), rounds)
        ours(repo, root / "warm", 2000)
        warm = median(lambda n: ours(repo, root / "warm", 3000 + n), rounds)
    what = f"promotion commit, {files} files"
    return [
        {"what": f"{what}, first", "ours": round(cold, 1), "peer": round(theirs, 1), "ratio": round(theirs / cold, 2)},
        {"what": f"{what}, later", "ours": round(warm, 1), "peer": round(theirs, 1), "ratio": round(theirs / warm, 2)},
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [{**row, "unit": "ms"} for row in measure(options.files, options.rounds)]
    if options.json:
        print(json.dumps({"name": "promotion", "rows": rows}))
        return
    print(f"{'what':<44}{'ours':>10}{'clone':>10}{'times':>8}")
    for row in rows:
        print(f"{row['what']:<44}{row['ours']:>8} ms{row['peer']:>7} ms{row['ratio']:>8}")


if __name__ == "__main__":
    main()
