"""What the registry is told, and when; what users may write of it. Without a registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.folder import digest_of_files, digest_of_folder
from deploy.registry import marks, spoken
from deploy.registry.candidates import candidate_of
from deploy.registry.marks import Kept, Wish
from deploy.registry.spec import Asked, Mark, Registry
from deploy.spec import PromotionDocument, check
from deploy.verify.model import check_model
from retrain.errors import Permanent
from retrain.store.promotions import PromotionRow

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WISH = Wish("p-1", "digits", "7", "champion", {"stage": "production"})


def document(**spec: Any) -> PromotionDocument:
    edits = [{"file": "m.yaml", "path": "spec.uri", "value": "{{candidate.uri}}"}]
    body = {"repo": {"url": "https://example.com/d.git"}, "environment": "production", "edits": edits, **spec}
    meta = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": "digits"}}
    return PromotionDocument.model_validate({**meta, "spec": body})


def row(state: str = "committed", **candidate: Any) -> PromotionRow:
    body = {"digest": f"sha256:{'a' * 64}", "uri": "s3://m", "registered": {"model": "digits", "version": "7"}}
    return PromotionRow("p-1", "k", "digits", "production", body | candidate, NOW, NOW, NOW, state=state)


@pytest.mark.parametrize(
    ("state", "watched", "settled"),
    [("committed", False, True), ("committed", True, False), ("live", True, True), ("unhealthy", True, False)],
)
def test_only_what_is_verified_is_marked_where_somebody_verifies(state: str, watched: bool, settled: bool) -> None:
    target = document(mark={"alias": "champion"}, registry={"mlflow": {"url": "https://m"}})
    if watched:
        # As it is where an environment declares checks.
        target = target.model_copy(update={"spec": target.spec.model_copy(update={"verify": ("one",)})})

    assert isinstance(marks.wished(target, row(state)), Wish) is settled


def test_what_is_not_in_the_registry_is_said() -> None:
    target = document(mark={"alias": "champion"}, registry={"mlflow": {"url": "https://m"}})

    assert "no `registered`" in str(marks.wished(target, row(registered=None)))
    assert "came by a promotion" in str(marks.wished(target, None))
    assert marks.wished(document(), row()) is None


def test_what_was_told_is_not_told_again_but_looked_at_now_and_then() -> None:
    kept = marks.told(WISH, NOW)

    assert marks.decide(WISH, None, NOW) == "set"
    assert marks.decide(WISH, kept, NOW) is None
    assert marks.decide(WISH, kept, NOW + marks.CHECK) == "look"
    assert marks.decide(Wish("p-2", "digits", "8", "champion"), kept, NOW) == "set"


def test_a_registry_that_is_away_is_asked_less_and_less_often() -> None:
    kept: Kept | None = None
    waits: list[float] = []
    for _ in range(12):
        kept = marks.failed(WISH, kept, "away", NOW)
        waits.append((kept.due - NOW).total_seconds())
        assert marks.decide(WISH, kept, kept.due - timedelta(seconds=1)) is None
        assert marks.decide(WISH, kept, kept.due) == "set"

    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (4.0, marks.LONGEST_S)


def test_a_look_that_fails_does_not_say_that_it_was_not_told() -> None:
    kept = marks.failed(WISH, marks.told(WISH, NOW), "away", NOW)

    assert (kept.standing, kept.done) == ("done", WISH)
    assert marks.decide(WISH, kept, kept.due) == "look"


def test_an_alias_elsewhere_is_told_once_and_left_there() -> None:
    kept = marks.looked(WISH, marks.told(WISH, NOW), "9", NOW)
    again = marks.looked(WISH, kept, "9", NOW + marks.CHECK)

    assert (kept.standing, kept.seen, again.at) == ("moved", "9", kept.at)
    assert "points to version 9" in kept.reason
    assert "is gone" in marks.looked(WISH, kept, None, NOW).reason
    assert marks.decide(WISH, again, again.due) == "look"
    assert marks.looked(WISH, again, "7", NOW).standing == "done"


@given(st.lists(st.sampled_from(["fail", "tell", "look 9", "look 7", "look -"]), max_size=30))
def test_whatever_happens_it_is_remembered_and_the_next_model_is_told(steps: list[str]) -> None:
    kept: Kept | None = None
    for step in steps:
        match step.split():
            case ["fail"]:
                kept = marks.failed(WISH, kept, "away", NOW)
            case ["tell"]:
                kept = marks.told(WISH, NOW)
            case [_, where]:
                kept = marks.looked(WISH, kept, where if where != "-" else None, NOW) if kept and kept.done else kept
            case _:
                raise AssertionError(step)
        assert kept is None or marks.read(marks.written(kept)) == kept

    assert marks.decide(Wish("p-2", "digits", "8", "champion"), kept, NOW) == "set"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"url": "mlflow:5000"}, "no address"),
        ({"url": "https://ada:secret@mlflow"}, "credentials"),
        ({"url": "https://mlflow/?x=1"}, "query"),
        ({"url": "http://mlflow", "token": {"env": "T"}}, "insecureHttp"),
        ({"url": "https://mlflow", "token": {"env": "T"}, "username": "a", "password": {"env": "P"}}, "or username"),
        ({"url": "https://mlflow", "username": "ada"}, "go together"),
        ({"url": "https://mlflow", "model": "a/b"}, "registered model"),
        ({"url": "https://mlflow", "digest": "etag"}, "files"),
    ],
)
def test_a_registry_that_cannot_be_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Registry.model_validate({"mlflow": body})


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://localhost", "https://mlflow.example.com/base"])
def test_a_token_may_go_where_nobody_reads_it(url: str) -> None:
    assert Registry.model_validate({"mlflow": {"url": url, "token": {"env": "T"}}})


@pytest.mark.parametrize("mark", [{}, {"alias": "latest"}, {"alias": "v7"}, {"alias": "a b"}, {"tags": {"a\nb": "c"}}])
def test_marks_that_cannot_be_are_refused(mark: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Mark.model_validate(mark)


@pytest.mark.parametrize("asked", [{}, {"version": "1", "alias": "a"}, {"version": "../1"}, {"alias": "a/b"}, "7"])
def test_a_candidate_names_one_version(asked: Any) -> None:
    with pytest.raises(ValidationError):
        Asked.model_validate(asked)


def test_lint_says_where_a_mark_has_no_registry_or_an_alias_two_owners() -> None:
    two = [
        {"name": name, "edits": [{"file": f"{name}.yaml", "path": "a", "value": "b"}], "mark": {"alias": "champion"}}
        for name in ("staging", "production")
    ]
    found = PromotionDocument.model_validate(
        {
            "apiVersion": "retrain.dev/v1",
            "kind": "Promotion",
            "metadata": {"name": "digits"},
            "spec": {"repo": {"url": "https://example.com/d.git"}, "environments": two},
        }
    )

    codes = [(one.code, one.path) for one in check(found) if one.severity == "error"]

    assert ("no-registry", ("spec", "environments", 0, "mark")) in codes
    assert ("duplicate-name", ("spec", "environments", 1, "mark", "alias")) in codes


def test_a_folder_has_the_digest_of_its_files(tmp_path: Path) -> None:
    assert digest_of_folder(tmp_path) is None
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    one = digest_of_folder(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")

    assert one is not None
    assert digest_of_folder(tmp_path) not in {one, None}
    (tmp_path / "link").symlink_to(tmp_path / "c")
    assert digest_of_folder(tmp_path) is None


def test_a_model_that_is_a_folder_is_held_to_its_digest(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"1")
    digest = str(digest_of_folder(tmp_path / "model"))

    assert check_model("model", digest, tmp_path).answer == "yes"
    assert check_model("model", f"sha256:{'0' * 64}", tmp_path).answer == "unknown"


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text("0123456789abcdef", min_size=64, max_size=64)))
def test_the_order_of_files_changes_no_digest(files: dict[str, str]) -> None:
    assert digest_of_files(files) == digest_of_files(dict(reversed(files.items())))


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a//b", "a\\b", ""])
def test_a_listing_does_not_lead_out_of_the_model(path: str) -> None:
    with pytest.raises(Permanent):
        spoken.listing_of({"files": [{"path": path, "is_dir": False}]})


def test_two_data_sets_are_none() -> None:
    def one(digest: str, context: str) -> dict[str, Any]:
        return {
            "tags": [{"key": spoken.CONTEXT, "value": context}],
            "dataset": {"name": "d", "digest": digest},
        }

    def run(*inputs: dict[str, Any]) -> spoken.Run:
        return spoken.run_of({"run": {"info": {"run_id": "r"}, "inputs": {"dataset_inputs": list(inputs)}}})

    assert run(one("1", "eval"), one("2", "training")).dataset == "d@1"
    assert run(one("1", "eval"), one("2", "test")).dataset is None
    assert run(one("1", "training")).dataset is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_whatever_a_server_answers_is_read_or_refused(body: Any) -> None:
    for read in (spoken.version_of, spoken.run_of, spoken.listing_of):
        try:
            read(body)
        except Permanent:
            continue


def test_a_version_without_a_run_is_a_candidate_too() -> None:
    version = spoken.version_of({"model_version": {"name": "digits", "version": "7", "source": "s3://m"}})

    found = candidate_of(version, spoken.Run(), f"sha256:{'a' * 64}", Asked(version="7"))

    assert (found["run"], found["metrics"], found["registered"]) == (
        None,
        {},
        {"model": "digits", "version": "7", "alias": None},
    )
