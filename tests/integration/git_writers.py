"""Many writers on one branch: `python -m tests.integration.git_writers DATA SETTINGS FIRST COUNT`.

COUNT threads of one machine, which has its caches in DATA.

SETTINGS is a file: `{"repo", "secrets", "commit"}`. Writer N changes the key `mN` of `models.yaml`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from deploy import PromotionDocument
from deploy.attempt import Place
from deploy.git import Race
from retrain.errors import Transient
from tests.integration.git_world import Known, intent, promote, where
from tests.integration.promotion_world import document

MOST_TRIES = 200


def models(count: int) -> str:
    """The file that all of them write to."""
    return "".join(f"m{n}: v0  # of writer {n}\n" for n in range(count))


def of_writer(number: int, settings: dict[str, Any]) -> PromotionDocument:
    edits = [{"file": "models.yaml", "path": f"m{number}", "value": "{{candidate.uri}}"}]
    gates = [{"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9}]
    more = {"repo": settings["repo"], "commit": settings.get("commit", {})}
    return document("x", name=f"w{number}", edits=edits, gates=gates, **more)


def land(at: Place, doc: PromotionDocument, number: int) -> int:
    """Try until it has landed, as the promoter does; how many tries it took."""
    chance = random.Random(number)
    for tries in range(MOST_TRIES):
        try:
            promote(at, doc, intent(f"w{number}", number + 1))
        except (Race, Transient):
            time.sleep(chance.random() * 0.05 * (tries + 1))
        else:
            return tries + 1
    raise AssertionError(f"writer {number} did not land in {MOST_TRIES} tries")


def write(data: Path, settings: dict[str, Any], first: int, count: int) -> list[int]:
    """Some writers of one machine, each in a thread; the tries of each."""
    at = where(data, Known(**settings["secrets"]))
    with ThreadPoolExecutor(count) as pool:
        numbers = range(first, first + count)
        return list(pool.map(land, [at] * count, [of_writer(n, settings) for n in numbers], numbers))


if __name__ == "__main__":
    folder, file, start, several = sys.argv[1:]
    print(json.dumps(write(Path(folder), json.loads(Path(file).read_text()), int(start), int(several))))  # noqa: T201
