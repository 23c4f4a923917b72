"""The paths that users write for the manifests of serving systems, on samples of each (tests/data/edits/serving)."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from deploy.edits import edit, selector
from deploy.edits.edit import Remove, Target, Undo, Value
from deploy.edits.serving import warnings

SAMPLES = Path(__file__).parents[1] / "data/edits/serving"
NEW = "s3://models/digits/v42"
DIGEST = "sha256:" + "2" * 64
SERVER = "spec.template.spec.containers[name=server]"

SET: list[tuple[str, str, Any, str]] = [
    ("kserve.yaml", "spec.predictor.model.storageUri", NEW, f"      storageUri: {NEW}  # set by Retrain"),
    ("kserve.yaml", "spec.predictor.model.runtimeVersion", "1.6.0", '      runtimeVersion: "1.6.0"'),
    ("kserve.yaml", 'metadata.annotations["retrain.dev/digest"]', DIGEST, f'    retrain.dev/digest: "{DIGEST}"'),
    ("kserve-canary.yaml", "spec.canary[predictor.name=v42].trafficPercent", 50, "    - trafficPercent: 50"),
    ("kserve-canary.yaml", "spec.predictor.name", "v42", "    name: v42"),
    ("kserve-knative.yaml", "spec.predictor.sklearn.storageUri", NEW, f'      storageUri: "{NEW}"'),
    ("kserve-knative.yaml", "spec.predictor.canaryTrafficPercent", "100", "    canaryTrafficPercent: 100"),
    (
        "kserve-knative.yaml",
        "spec.transformer.containers[name=kserve-container].image",
        "registry.example.com/digits-transformer:42",
        "        image: registry.example.com/digits-transformer:42",
    ),
    ("kserve-llm.yaml", "spec.model.uri", "hf://org/chat-8b", "    uri: hf://org/chat-8b"),
    ("kserve-llm.yaml", "spec.model.lora.adapters[name=support].uri", "s3://a/4", "          uri: s3://a/4"),
    ("seldon.yaml", "spec.storageUri", "gs://models/digits/v42", '  storageUri: "gs://models/digits/v42"'),
    ("seldon.yaml", "spec.candidates[name=digits-v42].weight", 50, "    weight: 50"),
    ("deployment.yaml", f"{SERVER}.env[name=MODEL_URI].value", NEW, f"          value: {NEW}"),
    (
        "deployment.yaml",
        f"{SERVER}.image",
        "registry.example.com/serve:42",
        "        image: registry.example.com/serve:42   # the model is in the image",
    ),
    (
        "deployment.yaml",
        f"{SERVER}.image",
        f"registry.example.com/serve@{DIGEST}",
        f"        image: registry.example.com/serve@{DIGEST}   # the model is in the image",
    ),
    (
        "deployment.yaml",
        "spec.template.spec.initContainers[name=fetch].args[^--model-uri=]",
        NEW,
        f'        args: ["--to=/model", "--model-uri={NEW}"]',
    ),
    ("kustomization.yaml", "images[name=registry.example.com/serve].newTag", "42", '    newTag: "42"'),
    ("kustomization.yaml", "images[name=registry.example.com/fetch].digest", DIGEST, f"    digest: {DIGEST}"),
    ("kustomization.yaml", "configMapGenerator[name=model].literals[^MODEL_URI=]", NEW, f"      - MODEL_URI={NEW}"),
    (
        "kustomization.yaml",
        "patches[target.name=digits].patch|[path=/spec/predictor/model/storageUri].value",
        NEW,
        f"        value: {NEW}",
    ),
    ("kustomization.yaml", "patches[1].patch|spec.predictor.minReplicas", 3, "          minReplicas: 3   # prod"),
    ("values.yaml", "model.uri", NEW, f"    uri: {NEW}"),
    ("values.yaml", "model.version", "42", '    version: "42"'),
    ("values.yaml", "image.tag", "42", '    tag: "42"'),
    ("configmap.yaml", "data.MODEL_URI", NEW, f"  MODEL_URI: {NEW}"),
    ("configmap.yaml", 'data["model.yaml"]|model.uri', NEW, f"      uri: {NEW}   # live"),
    ("configmap.yaml", 'data["model.json"]|uri', NEW, f'      "uri": "{NEW}",'),
    (
        "rayservice.yaml",
        "spec.serveConfigV2|applications[name=digits].deployments[name=Model].user_config.model_uri",
        NEW,
        f"              model_uri: {NEW}",
    ),
    (
        "rayservice.yaml",
        "spec.serveConfigV2|applications[name=digits].runtime_env.working_dir",
        "https://example.com/serve-42.zip",
        '          working_dir: "https://example.com/serve-42.zip"',
    ),
    ("model.json", "model.uri", NEW, f'    "uri": "{NEW}",'),
    ("model.json", "model.version", "42", '    "version": 42'),
    ("config.toml", "model.uri", NEW, f'uri = "{NEW}"  # live'),
]

CREATED: list[tuple[str, str, Any, list[str]]] = [
    ("kserve.yaml", 'metadata.annotations["retrain.dev/run"]', "r-42", ['    retrain.dev/run: "r-42"']),
    ("kserve.yaml", "spec.predictor.canaryTrafficPercent", 10, ["    canaryTrafficPercent: 10"]),
    (
        "kserve.yaml",
        "spec.canary[predictor.name=v42].predictor.model.storageUri",
        NEW,
        ["  canary:", "    - predictor:", "        name: v42", "        model:", f"          storageUri: {NEW}"],
    ),
    (
        "kserve-canary.yaml",
        "spec.canary[predictor.name=v43].trafficPercent",
        5,
        ["    - predictor:", "        name: v43", "      trafficPercent: 5"],
    ),
    (
        "deployment.yaml",
        f"{SERVER}.env[name=MODEL_DIGEST].value",
        DIGEST,
        ["        - name: MODEL_DIGEST", f"          value: {DIGEST}"],
    ),
    (
        "deployment.yaml",
        "spec.template.spec.containers[name=sidecar].env[name=MODEL_URI].value",
        NEW,
        ["        env:", "        - name: MODEL_URI", f"          value: {NEW}"],
    ),
    ("kustomization.yaml", "configMapGenerator[name=model].literals[^DIGEST=]", "ab", ["      - DIGEST=ab"]),
    (
        "kustomization.yaml",
        "images[name=registry.example.com/x].newTag",
        "v42",
        ["  - name: registry.example.com/x", "    newTag: v42"],
    ),
    ("values.yaml", "extraEnv[name=MODEL_URI].value", NEW, [f"extraEnv: [{{name: MODEL_URI, value: {NEW}}}]"]),
    ("configmap.yaml", 'data["model.yaml"]|model.digest', "ab", ["      digest: ab"]),
    ("configmap.yaml", 'data["model.json"]|digest', "ab", ['      "threshold": 0.5,', '      "digest": "ab"']),
    (
        "rayservice.yaml",
        "spec.serveConfigV2|applications[name=digits].deployments[name=Model].user_config.digest",
        "ab",
        ["              digest: ab"],
    ),
    ("config.toml", "model.digest", "ab", ['digest = "ab"']),
]

REMOVED: list[tuple[str, str, int]] = [
    ("kserve-canary.yaml", "spec.canary[predictor.name=v42]", 8),
    ("kserve-canary.yaml", "spec.canary", 8),
    ("kserve-knative.yaml", "spec.predictor.canaryTrafficPercent", 1),
    ("seldon.yaml", "spec.candidates[name=digits-v42]", 2),
    ("deployment.yaml", f"{SERVER}.env[name=MODEL_URI]", 2),
    ("kustomization.yaml", "configMapGenerator[name=model].literals[^THRESHOLD=]", 1),
    ("configmap.yaml", 'data["model.yaml"]|model.threshold', 1),
    ("configmap.yaml", 'data["model.yaml"]', 4),
    ("model.json", "model.version", 2),
]


def target(path: str, file: str) -> Target:
    kinds = {"deployment.yaml": "Deployment"}
    return Target(selector.parse(path), {"kind": kinds[file]} if file in kinds else {})


def changed(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """The lines that went and those that came."""
    lines = list(difflib.ndiff(before.decode().splitlines(), after.decode().splitlines()))
    return [x[2:] for x in lines if x.startswith("- ")], [x[2:] for x in lines if x.startswith("+ ")]


@pytest.mark.parametrize(("file", "path", "value", "line"), SET)
def test_a_field_is_set_on_its_one_line(file: str, path: str, value: Any, line: str) -> None:
    before = (SAMPLES / file).read_bytes()

    after, (change,) = edit.apply(before, [(target(path, file), Value(value))], file)
    back, _ = edit.apply(after, [(target(path, file), Value(change.old, change.old_text))], file)

    assert changed(before, after)[1] == [line]
    assert len(changed(before, after)[0]) == 1
    assert back == before


@pytest.mark.parametrize(("file", "path", "value", "lines"), CREATED)
def test_a_field_is_made_where_it_is_missing(file: str, path: str, value: Any, lines: list[str]) -> None:
    before = (SAMPLES / file).read_bytes()
    where = target(path, file)

    after, (change,) = edit.apply(before, [(where, Value(value, create=True))], file)

    assert changed(before, after)[1] == lines
    assert edit.read(after, where, file) == value
    assert change.made == "created"
    assert change.anchor is not None
    undo = Undo("created", change.old_text, change.new_text, change.anchor)
    assert edit.apply(after, [(where, undo)], file)[0] == before


@pytest.mark.parametrize(("file", "path", "gone"), REMOVED)
def test_a_field_is_taken_out_with_its_lines(file: str, path: str, gone: int) -> None:
    before = (SAMPLES / file).read_bytes()
    where = target(path, file)

    after, (change,) = edit.apply(before, [(where, Remove())], file)

    assert len(changed(before, after)[0]) == gone
    assert change.anchor is not None
    undo = Undo("removed", change.old_text, change.new_text, change.anchor)
    assert edit.apply(after, [(where, undo)], file)[0] == before


def test_a_canary_of_kserve_is_made_moved_and_ended() -> None:
    """v0.20: the entry is made, its share grows, the stable predictor takes its name, the entry goes."""
    file, uri = "kserve.yaml", "spec.canary[predictor.name=v42].predictor.model.storageUri"
    steps: list[list[tuple[str, edit.Edit]]] = [
        [
            (uri, Value(NEW, create=True)),
            ("spec.canary[predictor.name=v42].trafficPercent", Value(10, create=True)),
        ],
        [("spec.canary[predictor.name=v42].trafficPercent", Value(50))],
        [
            ("spec.predictor.name", Value("v42")),
            ("spec.predictor.model.storageUri", Value(NEW)),
            ("spec.canary[predictor.name=v42]", Remove()),
        ],
    ]
    data = (SAMPLES / file).read_bytes()
    for step in steps:
        data, changes = edit.apply(data, [(target(path, file), what) for path, what in step], file)
        assert all(change.changed for change in changes)

    assert changed((SAMPLES / file).read_bytes(), data)[1] == [
        "    name: v42",
        f"      storageUri: {NEW}  # set by Retrain",
        "  canary: []",
    ]


@pytest.mark.parametrize(
    ("mode", "path", "said"),
    [
        ("Standard", "spec.predictor.canaryTrafficPercent", "is ignored"),
        ("RawDeployment", "spec.predictor.canaryTrafficPercent", "is ignored"),
        ("ModelMesh", "spec.predictor.canaryTrafficPercent", "is ignored"),
        ("Serverless", "spec.predictor.canaryTrafficPercent", ""),
        ("Knative", "spec.predictor.canaryTrafficPercent", ""),
        ("Serverless", "spec.canary[predictor.name=v42].trafficPercent", "needs Standard"),
        ("Standard", "spec.canary[predictor.name=v42].trafficPercent", ""),
        ("Standard", "spec.predictor.model.storageUri", ""),
    ],
)
def test_a_canary_that_kserve_would_ignore_or_refuse_is_told(mode: str, path: str, said: str) -> None:
    data = (SAMPLES / "kserve-canary.yaml").read_bytes().replace(b": Standard", f": {mode}".encode())

    told = warnings(data, "kserve-canary.yaml", [target(path, "")])

    assert len(told) == (1 if said else 0)
    assert said in "".join(told)
    assert all(mode in one for one in told)
