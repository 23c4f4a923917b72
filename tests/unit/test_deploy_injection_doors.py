"""Every hostile text of the table through every field that a candidate, a document or a person may fill.

Either it is refused in words, or it is a value afterwards: of one key of one file, of one trailer, of one JSON string.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from pydantic import ValidationError

from deploy import PromotionDocument, PromotionRequest, check, derive, trailers
from deploy import candidate as candidates
from deploy import record as records
from deploy.approvals import to_record
from deploy.approvals import trailers as approval_lines
from deploy.derive import Intent
from deploy.git.writing import Author, stream
from deploy.names import check_branch, check_file, check_url
from deploy.proposals import submit
from retrain.errors import ConfigError, Refused
from retrain.store.approvals import Approval

TEXTS = {
    one["name"]: one["text"]
    for one in yaml.safe_load((Path(__file__).parents[1] / "data/injection/texts.yaml").read_text())
}
DIGEST = f"sha256:{'a' * 64}"
MANIFEST = """\
# Kept: the first line.
digest: d0   # kept
uri: u0
version: "v0"
run: r0
parameter: {x: p0, y: kept}
metric: 1
last: kept
"""
EDITS = {
    "digest": "{{candidate.digest}}",
    "uri": "{{candidate.uri}}",
    "version": "{{candidate.version}}",
    "run": "run {{candidate.run}}",
    "parameter.x": "{{candidate.parameters.x}}",
}
FIELDS: dict[str, Any] = {
    "digest": lambda text: {"digest": text},
    "uri": lambda text: {"uri": text},
    "version": lambda text: {"version": text},
    "run": lambda text: {"run": text},
    "parameter": lambda text: {"parameters": {"x": text}},
    "parameter's name": lambda text: {"parameters": {"x": "1", text: "1"}},
    "metric": lambda text: {"metrics": {"accuracy": 0.95, "other": text}},
    "metric's name": lambda text: {"metrics": {"accuracy": 0.95, text: 1}},
    "events": lambda text: {"events": [text, "e-2"]},
    "source": lambda text: {
        "source": {"commit": "a" * 40, **dict.fromkeys(("repoUrl", "author", "subject", "body", "date"), text)}
    },
    "source commit": lambda text: {"source": {"commit": text}},
    "dataset": lambda text: {"evaluation": {"dataset": text, "metrics": {"accuracy": 0.95}}},
    "code": lambda text: {"evaluation": {"dataset": "d", "code": text, "metrics": {"accuracy": 0.95}}},
    "another field": lambda text: {text: text},
}
OURS = re.compile(
    r"Retrain-(?:Promotion|Intent|Action|Target|Run|Firing|Event|Actor)|Model-(?:Digest|Uri|Version|Dataset|Registered)"
    r"|Gate-Report-Digest|Previous-Model-(?:Digest|Version)|Argocd-reference-commit-(?:sha|repourl|author|subject|date|body)"
)


def document(**spec: Any) -> PromotionDocument:
    body = {
        "repo": {"url": "/x"},
        "environment": "staging",
        "edits": [{"file": "a.yaml", "path": path, "value": value} for path, value in EDITS.items()],
        "gates": [{"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9}],
        "commit": {"message": "promote {{candidate.version}} of {{candidate.run}}\n\n{{candidate.parameters.x}}\n"},
        **spec,
    }
    whole = {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": "digits"}, "spec": body}
    return PromotionDocument.model_validate(whole)


DOCUMENT = document()


def body_of(more: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "digest": DIGEST,
        "uri": "s3://x",
        "version": "v1",
        "run": "r-1",
        "parameters": {"x": "1"},
        "metrics": {"accuracy": 0.95},
    }
    return {**plain, **more}


@pytest.mark.parametrize("field", FIELDS)
def test_what_a_candidate_says_stays_a_value(field: str) -> None:
    for text in TEXTS.values():
        check_candidate(body_of(FIELDS[field](text)))


def check_candidate(body: dict[str, Any]) -> None:
    """It is refused, or is one commit of declared values. A failure shows the body."""
    try:
        model = candidates.read(body)
        wish = Intent("p-1", "1" * 64, "promote", model.digest, datetime(2026, 11, 22, tzinfo=UTC), model)
        made = derive.promote(DOCUMENT, wish, {"a.yaml": MANIFEST.encode(), ".retrain/digits/staging.json": None})
    except (ConfigError, Refused):
        return

    assert made.outcome == "commit", made.reason
    assert set(made.files) == {"a.yaml", ".retrain/digits/staging.json"}
    check_manifest(made.files["a.yaml"], model)
    check_message(made.message)
    check_record(made.files[".retrain/digits/staging.json"], model)


def check_manifest(data: bytes, model: candidates.Candidate) -> None:
    """Only the declared values are others, and each is the text itself."""
    text = data.decode()
    found, before = yaml.safe_load(text), yaml.safe_load(MANIFEST)
    wanted = {
        "digest": model.digest,
        "uri": model.uri,
        "version": model.version,
        "run": f"run {model.run}",
        "parameter": {"x": model.parameters["x"], "y": "kept"},
    }
    assert found == {**before, **wanted}
    assert text.startswith("# Kept: the first line.\ndigest: ")
    assert text.count("# kept") == 1
    assert text.endswith("\nmetric: 1\nlast: kept\n")


def check_message(message: str) -> None:
    """Its trailers are ours, each once; nothing in it is a line of somebody else's that looks like one."""
    message.encode()
    keys = [key for key, _ in trailers.parse(message)]
    assert len(keys) == len(set(keys)) > 5
    assert all(OURS.fullmatch(key) for key in keys)
    *head, _ = message.rstrip("\n").split("\n\n")
    said = "\n".join(head).splitlines()
    assert not [
        line for line in said[1:] if re.match(r"(?i)(approved|signed|reviewed)-(off-)?by:", line) and line != said[-1]
    ]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", message)
    assert not [line for line in said if line.startswith("---")]


def check_record(body: bytes, model: candidates.Candidate) -> None:
    """It is a record, with the text in its place."""
    record = records.read(body, "r.json")
    assert record is not None
    assert record.live is not None
    assert (record.live.digest, record.live.uri, record.live.version) == (model.digest, model.uri, model.version)
    assert record.promotion["id"] == "p-1"
    assert [edit.file for edit in record.edits] == ["a.yaml"] * len(EDITS)
    assert orjson.loads(body)["schema"] == records.SCHEMA


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_people_say_stays_on_its_line(text: str) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    one = Approval("p-1", "s", "approve", text or "x", True, ("approver",), text, at, at)

    message = trailers.message("promote x", {"Retrain-Actor": text}, approval_lines([one]))

    keys = [key for key, _ in trailers.parse(message)]
    assert sorted(keys) in (["Approved-By"], ["Approved-By", "Retrain-Actor"])
    assert len(orjson.loads(orjson.dumps(to_record([one])))) == 1


def test_a_promotion_that_asks_for_another_name_is_refused() -> None:
    requests = [PromotionRequest(text, body_of({})) for text in TEXTS.values()]
    requests += [PromotionRequest("digits", body_of({}), environment=text) for text in TEXTS.values() if text]
    for request in requests:
        with pytest.raises(ConfigError):
            submit(None, DOCUMENT, request, datetime(2026, 11, 22, tzinfo=UTC))  # type: ignore[arg-type]


PLACES: dict[str, Any] = {
    "name": lambda text: {"metadata": {"name": text}},
    "environment": lambda text: {"spec": {"environment": text}},
    "branch": lambda text: {"spec": {"repo": {"url": "/x", "branch": text}}},
    "address": lambda text: {"spec": {"repo": {"url": text}}},
    "file": lambda text: {"spec": {"edits": [{"file": text, "path": "a", "value": "x"}]}},
    "path": lambda text: {"spec": {"edits": [{"file": "a", "path": text, "value": "x"}]}},
    "author": lambda text: {"spec": {"commit": {"name": text}}},
    "e-mail": lambda text: {"spec": {"commit": {"email": text}}},
    "message": lambda text: {"spec": {"commit": {"message": text}}},
    "gate": lambda text: {"spec": {"gates": [{"name": text, "kind": "threshold", "metric": "m", "min": 1}]}},
    "role": lambda text: {"spec": {"approvals": {"roles": [text]}}},
    "user name": lambda text: {
        "spec": {"repo": {"url": "https://h/x", "credentials": {"username": text, "password": {"env": "A"}}}}
    },
    "variable": lambda text: {"spec": {"repo": {"url": "https://h/x", "credentials": {"token": {"env": text}}}}},
    "key id": lambda text: {"spec": {"commit": {"sign": {"gpg": {"key": {"env": "A"}, "keyId": text}}}}},
}


@pytest.mark.parametrize("place", PLACES)
def test_what_a_manifest_says_is_refused_or_what_it_seems(place: str) -> None:
    whole = DOCUMENT.model_dump(mode="json", exclude_unset=True)
    for text in TEXTS.values():
        change = PLACES[place](text)
        spec = {**whole["spec"], **change.get("spec", {})}
        check_document({**whole, **change, "spec": spec})


def check_document(body: dict[str, Any]) -> None:
    """What passes the rules must be harmless where it goes: git's command line, its streams, paths, trailers."""
    try:
        found = PromotionDocument.model_validate(body)
    except ValidationError:
        return
    if [problem for problem in check(found) if problem.severity == "error"]:
        return
    spec = found.spec
    assert (check_url(spec.repo.url), check_branch(spec.repo.branch)) == (None, None)
    assert not spec.repo.url.startswith("-")
    assert not spec.repo.branch.startswith(("-", ":"))
    assert all(check_file(edit.file) is None for edit in spec.edits)
    author = Author(spec.commit.name, spec.commit.email, 1)
    lines = stream("r", "b" * 40, {"": {}}, {}, "m", author).split(b"\n")
    assert lines[2:4] == [b"author " + author.line.encode(), b"committer " + author.line.encode()]
    assert re.fullmatch(r"[^<>\x00-\x1f]+ <[^<>\s\x00-\x1f]+> 1 \+0000", author.line)
