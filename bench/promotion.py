"""What one promotion commit costs in a repository of 10,000 files and 1 GB of history, beside Kargo's way.

    python -m bench.promotion [--files 10000] [--history-mb 1000] [--rounds 7] [--writers 64] [--json]

Ours: `deploy.attempt.run`, with a cold cache (the first promotion ever) and with a warm one (all later ones); gates,
record and the proof of the edit included. Kargo's way: a bare clone, a work tree, edit, commit, push. Also a shallow
clone, as a script would make it. All over `file://`. The repository is built once and kept in the temporary folder;
each run works on a fresh one that borrows its objects. Memory: of a process that makes one commit, and of the largest
git under it, over repositories of three sizes. The writers change one file each in a small repository: four
machines (processes with a cache each), and as many threads as it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.report import Row, draw
from deploy import PromotionDocument, attempt, candidate, place
from deploy.derive import Intent
from tests.integration import git_writers

MANIFEST = "apps/team007/app042/model.yaml"
TEXT = "apiVersion: v1\nkind: Model\nmetadata: {{name: m{n}}}\nspec:\n  storageUri: s3://models/m{n}/v0  # live\n"
BLOB = 10 * 1024 * 1024
MACHINES = 4
SIZES = (1_000, 10_000, 50_000)
"""Files of the repositories whose commits' memory is compared."""
ROOT = Path(__file__).parents[1]


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    command = ["git", "-c", "user.name=b", "-c", "user.email=b@b", "-c", "init.defaultBranch=main", "-C", str(folder)]
    return subprocess.run([*command, *arguments], input=stdin, check=True, capture_output=True).stdout.decode().strip()


def generate(path: Path, files: int, history_mb: int = 0) -> Path:
    """A bare repository of `files` manifests, 100 to a team, after a history of that size. Kept if it is there."""
    if (path / "built").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    git(path, "init", "-q", "--bare")
    git(path, "config", "uploadpack.allowFilter", "true")
    settings = ("-c", "core.compression=0", "-c", "core.bigFileThreshold=1m", "-c", "core.fsync=none")
    command = ["git", *settings, "-C", str(path), "fast-import", "--quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for part in _stream(files, history_mb * 1024 * 1024 // BLOB):
            process.stdin.write(part)
    assert process.returncode == 0
    (path / "built").touch()
    return path


def _stream(files: int, blobs: int) -> Iterator[bytes]:
    """Commits that each replace one blob of noise, then one with all manifests and without the noise."""
    for n in range(blobs):
        yield b"commit refs/heads/main\ncommitter b <b@b> %d +0000\ndata 1\nn\n" % (n + 1)
        yield b"M 100644 inline noise.bin\ndata %d\n" % BLOB + os.urandom(BLOB) + b"\n"
    yield b"commit refs/heads/main\ncommitter b <b@b> %d +0000\ndata 1\nn\n" % (blobs + 1)
    yield b"D noise.bin\n" if blobs else b""
    names = [MANIFEST, *(f"apps/team{n // 100:03}/app{n % 100:03}/model.yaml" for n in range(files))]
    for n, name in enumerate(dict.fromkeys(names)):
        text = TEXT.format(n=n)
        yield f"M 100644 inline {name}\ndata {len(text)}\n{text}\n".encode()


def borrow(kept: Path, path: Path) -> Path:
    """A bare repository of its own with the same commits, whose objects lie in `kept`."""
    git(path.parent, "clone", "-q", "--bare", "--shared", str(kept), str(path))
    git(path, "config", "uploadpack.allowFilter", "true")
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
    _, commit, derived = attempt.run(where, document(f"file://{repo}"), intent, _go_on)
    assert commit is not None, derived


def _go_on(*_: object) -> bool:
    return True


def kargo(repo: Path, folder: Path, number: int) -> None:
    """As Kargo's steps do it: git-clone (bare, with a work tree), yaml-update, git-commit, git-push."""
    git(repo.parent, "clone", "-q", "--bare", f"file://{repo}", str(folder))
    tree = folder.with_name(f"{folder.name}-tree")
    git(folder, "worktree", "add", "-q", "--detach", str(tree), "main")
    _edit_and_push(tree, f"file://{repo}", number)


def shallow(repo: Path, folder: Path, number: int) -> None:
    git(repo.parent, "clone", "-q", "--depth", "1", f"file://{repo}", str(folder))
    _edit_and_push(folder, "origin", 100 + number)
    shutil.rmtree(folder)


def _edit_and_push(tree: Path, remote: str, number: int) -> None:
    file = tree / MANIFEST
    text = "".join(f"  storageUri: s3://m/{number}p\n" if "storageUri" in x else x for x in file.open())
    file.write_text(text)
    git(tree, "commit", "-qam", f"promote {number}")
    git(tree, "push", "-q", remote, "HEAD:main")


def milliseconds(work: Callable[[int], None], rounds: int) -> list[float]:
    taken: list[float] = []
    for number in range(rounds):
        start = time.perf_counter()
        work(number)
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def megabytes(*folders: Path) -> float:
    """Of objects: what came, and what was made to go."""
    files = [file for folder in folders for file in folder.rglob("objects/**/*") if file.is_file()]
    return sum(file.stat().st_size for file in files if file.suffix not in {".idx", ".rev", ".promisor"}) / 1e6


def writing(root: Path, writers: int) -> float:
    """Seconds until that many writers have landed on one branch of a local bare repository, starts included."""
    repo = root / "writers.git"
    repo.mkdir()
    git(repo, "init", "-q", "--bare")
    text = git_writers.models(writers)
    stream = (
        f"commit refs/heads/main\ncommitter b <b@b> 1 +0000\ndata 1\nn\nM 100644 inline models.yaml\ndata {len(text)}\n"
    )
    git(repo, "fast-import", "--quiet", stdin=f"{stream}{text}\n".encode())
    settings = root / "settings.json"
    settings.write_text(json.dumps({"repo": {"url": str(repo)}, "secrets": {}}))
    share = writers // MACHINES
    command = [sys.executable, "-m", "tests.integration.git_writers"]
    start = time.perf_counter()
    processes = [
        subprocess.Popen(
            [*command, str(root / f"machine{n}"), str(settings), str(n * share), str(share)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )
        for n in range(MACHINES)
    ]
    assert [process.wait() for process in processes] == [0] * MACHINES
    assert int(git(repo, "rev-list", "--count", "main")) == share * MACHINES + 1
    return time.perf_counter() - start


def memory(kept: Path, root: Path) -> float:
    """Most megabytes of a process that made the first commit there: of ours and of git's, the larger one."""
    name = kept.stem
    repo = borrow(kept, root / f"{name}-memory.git")
    code = (
        "import resource as r, sys; from pathlib import Path; from bench import promotion as p\n"
        "p.ours(Path(sys.argv[1]), Path(sys.argv[2]), 1)\n"
        "print(r.getrusage(r.RUSAGE_SELF).ru_maxrss, r.getrusage(r.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(repo), str(root / f"{name}-memory")]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return max(int(one) for one in out.split()) / 1024


def measure_memory(root: Path) -> list[Row]:
    """Flat with the size of the repository, but for the trees of a commit, which git reads."""
    found = {size: memory(generate(_kept(size, 0), size), root) for size in SIZES}
    least, most = found[SIZES[0]], found[SIZES[-1]]
    return [
        Row(f"peak memory of a commit, {SIZES[-1]} files", most, "MB", least, f"with {SIZES[0]} files"),
        Row(f"peak memory, {SIZES[-1]} files against {SIZES[0]}", most / least, "times", goal=1.5, at_least=False),
    ]


def _kept(files: int, history_mb: int) -> Path:
    return Path(tempfile.gettempdir()) / f"retrain-bench-{files}-{history_mb}.git"


def measure(files: int, history_mb: int, rounds: int, writers: int) -> list[Row]:
    kept = generate(_kept(files, history_mb), files, history_mb)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        repo = borrow(kept, root / "repo.git")
        theirs = min(milliseconds(lambda n: kargo(repo, root / f"kargo{n}", n), 1))
        moved = megabytes(root / "kargo0")
        shutil.rmtree(root / "kargo0")
        short = milliseconds(lambda n: shallow(repo, root / f"shallow{n}", n), 2)
        cold = milliseconds(lambda n: ours(repo, root / f"cold{n}", 1000 + n), rounds)
        ours(repo, root / "warm", 2000)
        warm = milliseconds(lambda n: ours(repo, root / "warm", 3000 + n), rounds)
        taken = writing(root, writers)
        ours_moved = megabytes(root / "cold0")
        flat = measure_memory(root)
    what = f"promotion commit, {files} files, {history_mb} MB of history"
    way = "Kargo's way"
    least = {"at_least": False, "goal": 150.0}
    return [
        Row(f"{what}, first", min(cold), "ms", theirs, way, median=statistics.median(cold), **least),  # type: ignore[arg-type]
        Row(f"{what}, later", min(warm), "ms", theirs, way, median=statistics.median(warm), **least),  # type: ignore[arg-type]
        Row("the same beside a shallow clone", min(warm), "ms", min(short), "clone --depth 1"),
        Row("Kargo's way takes so many times as long", theirs / statistics.median(warm), "times", goal=10),
        Row("bytes that the first one moves", ours_moved, "MB", moved, way, goal=1, at_least=False),
        Row(f"{writers} writers on one branch, until all have landed", taken, "s", goal=20, at_least=False),
        *flat,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--history-mb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--writers", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [row.to_json() for row in measure(options.files, options.history_mb, options.rounds, options.writers)]
    if options.json:
        print(json.dumps({"name": "promotion", "rows": rows}))
        return
    draw(rows)


if __name__ == "__main__":
    main()
