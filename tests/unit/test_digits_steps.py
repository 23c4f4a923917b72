"""The digits example's steps, run one after another as its workflow runs them: the three days tell their story."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # it trains models

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
STEPS = EXAMPLE / "steps"
DAYS = ("2026-11-18", "2026-11-19", "2026-11-20")
FAMILIES = ("logistic", "forest", "svm")
LIVE = "overlays/staging/model.yaml"
QUIET = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

Step = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    """Run a step in a working directory of its own; what it left as output parameters.

    In this process, because scikit-learn takes longer to load than the models take to train.
    """
    pytest.importorskip("sklearn")
    from threadpoolctl import threadpool_limits

    # More threads than free cores wait for one another in a busy loop: four times as long beside other tests.
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.syspath_prepend(str(STEPS))
        before = set(sys.modules)

        def run(script: str, *arguments: str) -> dict[str, str]:
            home = tmp_path_factory.mktemp(script)
            with pytest.MonkeyPatch.context() as inside:
                inside.chdir(home)
                inside.setattr(sys, "argv", [f"{script}.py", *arguments])
                code = importlib.import_module(script).main()
            assert not code, f"{script} ended with {code}"
            return {file.name: file.read_text() for file in (home / "outputs").glob("*")}

        yield run
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(STEPS)):
                del sys.modules[name]


@pytest.fixture(scope="module")
def place(step: Step, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cut batches and a deployment repository in which nothing is live."""
    place = tmp_path_factory.mktemp("digits")
    step("cut", str(place / "data"))
    shutil.copytree(EXAMPLE / "deployment", place / "deployment")
    git(place, "init", "--quiet", "--initial-branch=main")
    commit(place)
    return place


def git(place: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *identity, *words], cwd=place / "deployment", env=QUIET, check=True)


def commit(place: Path) -> None:
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message=x")


def retrain(step: Step, place: Path, day: str) -> dict[str, Any]:
    """One run of the workflow; the candidate it gives."""
    models, lake = f"--models={place}/models", f"--lake={place}/lake"
    live = step("champion", f"--deployment={place}/deployment", f"--file={LIVE}", models)
    labels = json.dumps(json.loads((place / "data" / day / "labels.json").read_text())["labels"])
    features = place / "data" / day / "features.csv"
    given = [f"--date={day}", f"--features={features}", f"--labels={labels}", f"--batches={live['batches']}"]
    valid = step("validate", *given, lake)
    batches = f"--batches={valid['batches']}"
    into = f"--into={place}/trained/{day}"
    trained = [step("train", f"--family={one}", batches, lake, into)["trained"] for one in FAMILIES]
    judged = step("evaluate", f"--trained={json.dumps(trained)}", f"--champion={live['digest']}", models)
    best, evaluation = f"--best={judged['best']}", f"--evaluation={judged['evaluation']}"
    return json.loads(step("package", best, evaluation, batches, models, f"--run={day}")["candidate"])


def go_live(place: Path, candidate: dict[str, Any]) -> None:
    """What a promotion does: the one line that names the model."""
    file = place / "deployment" / LIVE
    before = file.read_text()
    after = re.sub(r"^( *storageUri:).*$", rf"\1 {candidate['uri']}", before, flags=re.MULTILINE)
    assert after != before
    file.write_text(after)
    commit(place)


@pytest.fixture(scope="module")
def story(step: Step, place: Path) -> list[dict[str, Any]]:
    """The candidates of three days; the first two go live."""
    candidates: list[dict[str, Any]] = []
    for number, day in enumerate(DAYS):
        candidates.append(retrain(step, place, day))
        if number < 2:
            go_live(place, candidates[-1])
    return candidates


def figures(candidate: dict[str, Any]) -> dict[str, float]:
    return candidate["evaluation"]["metrics"]


def test_the_first_days_model_is_good_enough_and_has_no_champion_to_beat(story: list[dict[str, Any]]) -> None:
    assert figures(story[0])["accuracy"] >= 0.9
    assert figures(story[0])["accuracy-worst-digit"] >= 0.75
    assert "champion" not in story[0]["evaluation"]


def test_the_second_day_is_added_to_the_first_and_its_model_is_better(story: list[dict[str, Any]]) -> None:
    champion = story[1]["evaluation"]["champion"]

    assert story[1]["parameters"]["batches"] == list(DAYS[:2])
    assert champion["digest"] == story[0]["digest"]
    assert champion["metrics"] == figures(story[0])
    assert figures(story[1])["accuracy"] > champion["metrics"]["accuracy"] + 0.01


def test_wrong_labels_pass_every_look_at_the_data_and_the_models_figures_show_them(story: list[dict[str, Any]]) -> None:
    champion = story[2]["evaluation"]["champion"]

    assert champion["digest"] == story[1]["digest"]
    assert figures(story[2])["accuracy"] < champion["metrics"]["accuracy"] - 0.02


def test_every_model_is_judged_on_the_same_images(story: list[dict[str, Any]]) -> None:
    assert len({candidate["evaluation"]["dataset"] for candidate in story}) == 1


def test_a_model_lies_under_the_digest_of_its_bytes(story: list[dict[str, Any]]) -> None:
    from hashlib import sha256

    for candidate in story:
        folder = Path(candidate["uri"].removeprefix("file://"))
        assert candidate["digest"] == f"sha256:{sha256((folder / 'model.pickle').read_bytes()).hexdigest()}"
        assert folder.name == candidate["digest"].replace(":", "-")
        assert json.loads((folder / "card.json").read_text())["digest"] == candidate["digest"]


@pytest.mark.slow
def test_the_same_day_gives_the_same_figures_again(step: Step, place: Path, story: list[dict[str, Any]]) -> None:
    again = retrain(step, place, DAYS[2])

    assert again["evaluation"] == story[2]["evaluation"]
    assert again["digest"] == story[2]["digest"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda rows, labels: (rows[:1], labels), "the batch is empty"),
        (lambda rows, labels: ([*rows, rows[1]], labels), "an id is there twice"),
        (lambda rows, labels: (rows, {}), "have no label"),
        (lambda rows, labels: ([rows[0], rows[1].replace(",0,", ",17,", 1), *rows[2:]], labels), "pixels must be"),
        (lambda rows, labels: (rows, dict.fromkeys(labels, 3)), "is too rare"),
        (lambda rows, labels: (rows, dict.fromkeys(labels, 11)), "labels must be digits"),
    ],
    ids=["empty", "twice", "unlabelled", "too-dark", "one-class", "no-digit"],
)
def test_a_batch_that_no_model_could_learn_from_is_refused_as_a_process(
    place: Path, tmp_path: Path, spoil: Callable[..., Any], said: str
) -> None:
    """As the executor starts it: a process that ends with 1 and says why."""
    folder = place / "data" / DAYS[0]
    given = (folder / "features.csv").read_text().splitlines()
    rows, labels = spoil(given, json.loads((folder / "labels.json").read_text())["labels"])
    (tmp_path / "features.csv").write_text("\n".join(rows) + "\n")
    arguments = [f"--date={DAYS[0]}", "--features=features.csv", f"--labels={json.dumps(labels)}", "--lake=lake"]

    done = subprocess.run(
        [sys.executable, STEPS / "validate.py", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "lake").exists()
