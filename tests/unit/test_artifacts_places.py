"""Where an artifact goes that does not say, and what is to go when a run is over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pipelines.artifacts import ArtifactMissing, ArtifactRun, BadArtifact, open_artifacts
from pipelines.artifacts.garbage import Moment, delete_all, doomed
from pipelines.artifacts.keeper import Keeper
from retrain.errors import ConfigError

RUN = ArtifactRun("r1", "train-x", "default", "train-x-1", "train-x-fit-1")
REFERENCES = {
    ("ConfigMap", "artifact-repositories"): {"local": "archiveLogs: true", "bad": "s3: [", "worse": "nfs: {path: /x}"},
}


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    (tmp_path / "m").write_text("model")
    return open_artifacts(tmp_path / "data", REFERENCES)


@pytest.mark.parametrize(
    ("artifact", "location"),
    [
        ({}, {"s3": {"key": "train-x/train-x-fit-1/m.tgz"}}),
        ({"s3": {"key": "here"}}, {"s3": {"key": "here"}}),
        ({"s3": {"bucket": "models", "key": "here"}}, {"s3": {"key": "here"}}),
        ({"plugin": {"name": "p", "key": "there"}}, {"s3": {"key": "there"}}),
        ({"gcs": {"key": "here"}}, {"s3": {"key": "here"}}),
    ],
)
def test_what_names_no_server_lies_in_the_runs_repository(
    keeper: Keeper, tmp_path: Path, artifact: dict[str, Any], location: dict[str, Any]
) -> None:
    kept = keeper.save({"name": "m", **artifact}, tmp_path / "m", RUN)

    keeper.load(kept, tmp_path / "got", RUN)

    assert {kind: kept[kind] for kind in ("s3", "gcs", "plugin") if kind in kept} == location
    assert (tmp_path / "got").read_text() == "model"


def test_the_archive_location_of_a_template_goes_first(keeper: Keeper, tmp_path: Path) -> None:
    run = ArtifactRun("r1", "w", "default", "n", "p", location={"archiveLogs": True, "s3": {"key": "mine/{p}"}})

    assert keeper.save({"name": "m"}, tmp_path / "m", run)["s3"] == {"key": "mine/{p}/m.tgz"}


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ({"key": "bad"}, "is not YAML"),
        ({"key": "worse"}, "nfs: extra inputs"),
        ({"key": "none"}, "has no key 'none'; it has local, bad, worse"),
    ],
)
def test_a_repository_that_cannot_be_read_is_named(
    keeper: Keeper, tmp_path: Path, ref: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        keeper.save({"name": "m"}, tmp_path / "m", ArtifactRun("r", "w", "d", "n", "p", ref))


def test_a_config_map_that_is_not_there_means_the_default(keeper: Keeper, tmp_path: Path) -> None:
    for ref in ({"key": "local"}, {"configMap": "other", "key": "x"}):
        run = ArtifactRun("r", "w", "d", "n", "p", ref)
        assert keeper.save({"name": "m"}, tmp_path / "m", run)["s3"] == {"key": "w/p/m.tgz"}


@pytest.mark.parametrize(
    ("artifact", "kind", "message"),
    [
        ({}, ArtifactMissing, "required artifact 'm' not supplied"),
        ({"archive": {"tar": {}, "zip": {}}, "raw": {"data": ""}}, BadArtifact, "one of none, tar and zip"),
        ({"azure": {"blob": "x"}}, BadArtifact, "azure is not built; there are raw, http"),
        ({"s3": {"key": "gone"}}, ArtifactMissing, "nothing lies at 'gone'"),
        (
            {"s3": {"endpoint": "x:1", "bucket": "b", "key": "k", "encryptionOptions": {"a": 1}}},
            BadArtifact,
            "not built",
        ),
    ],
)
def test_what_cannot_be_loaded_is_said_with_the_artifacts_name(
    keeper: Keeper, tmp_path: Path, artifact: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=f"^artifact m failed to load: .*{message}"):
        keeper.load({"name": "m", **artifact}, tmp_path / "got", RUN)


@pytest.mark.parametrize("level", [-2, 10, "9", True, 1.5])
def test_a_level_that_gzip_does_not_have_is_refused(keeper: Keeper, tmp_path: Path, level: Any) -> None:
    with pytest.raises(BadArtifact, match="compressionLevel is -1 to 9"):
        keeper.save({"name": "m", "archive": {"tar": {"compressionLevel": level}}}, tmp_path / "m", RUN)


def test_a_key_may_not_lead_out_of_the_directory_that_is_made_of_it(keeper: Keeper, tmp_path: Path) -> None:
    for key in ("d/../../evil", "d//x"):
        keeper.save({"name": "m", "archive": {"none": {}}, "s3": {"key": key}}, tmp_path / "m", RUN)
        with pytest.raises(BadArtifact, match="no path below a directory"):
            keeper.load({"name": "d", "s3": {"key": "d"}}, tmp_path / "in", RUN)
        keeper.local.delete(key)

    assert sorted(os.listdir(tmp_path)) == ["data", "m"]  # noqa: PTH208


def test_nothing_is_written_before_the_first_artifact(tmp_path: Path) -> None:
    open_artifacts(tmp_path / "data", {}).local.close()

    assert list(tmp_path.iterdir()) == []


# --- what goes -------------------------------------------------------------------------------------------------------

A, B, C, HTTP = (
    {"name": "a", "s3": {"key": "a"}},
    {"name": "b", "s3": {"key": "b"}, "artifactGC": {"strategy": "OnWorkflowCompletion"}},
    {"name": "c", "s3": {"key": "c"}, "artifactGC": {"strategy": "Never"}},
    {"name": "h", "http": {"url": "http://x"}},
)


@pytest.mark.parametrize(
    ("strategy", "moment", "names"),
    [
        (None, "OnWorkflowCompletion", ["b"]),
        ("Never", "OnWorkflowDeletion", ["b"]),
        ("OnWorkflowDeletion", "OnWorkflowCompletion", ["b"]),
        ("OnWorkflowDeletion", "OnWorkflowDeletion", ["a", "b"]),
        ("OnWorkflowCompletion", "OnWorkflowCompletion", ["a", "b"]),
    ],
)
def test_the_strategy_says_what_goes_when(strategy: str | None, moment: Moment, names: list[str]) -> None:
    spec = {} if strategy is None else {"artifactGC": {"strategy": strategy}}

    gone = doomed(spec, [A, B, C, HTTP, A], moment)

    assert [artifact["name"] for artifact in gone] == names


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(keeper: Keeper, tmp_path: Path) -> None:
    kept = keeper.save(A, tmp_path / "m", RUN)

    problems = delete_all(keeper, [HTTP, {"name": "e", "s3": {"key": ""}}, kept, kept], RUN)

    assert [problem.split(":")[0] for problem in problems] == [
        "artifact h failed to be deleted",
        "artifact e failed to be deleted",
    ]
    with pytest.raises(ArtifactMissing):
        keeper.load(kept, tmp_path / "got", RUN)
