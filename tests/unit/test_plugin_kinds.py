"""Kinds of other packages in documents: really installed distributions, found by their entry points."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain.app.projects.plugins import Installed, all_kinds, kinds_with_plugins
from retrain.app.projects.project import load_project
from retrain.app.promotions.planning import plan_file
from retrain.app.sensing.explaining import explain_file
from retrain.errors import ConfigError
from retrain.events import Event
from tests.support.distribution import documented, install, install_documented

ARGO = "argoproj.io/v1alpha1"
MINE = "class Mine:\n    def __init__(self, *_): ...\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on sys.path to install into; what was imported from it is forgotten afterwards."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)
    yield site
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site)):
            del sys.modules[name]


@pytest.fixture
def example(site: Path) -> Path:
    return install_documented(site)


def sensor(body: str, version: str = "retrain.dev/v1") -> str:
    return (
        f"apiVersion: {version}\nkind: Sensor\nmetadata: {{name: s}}\nspec:\n"
        "  dependencies:\n    - {name: tick, eventSourceName: clock, eventName: tick}\n"
        f"  triggers:\n    - template:\n        name: count\n        {body}\n"
    )


def source(body: str, version: str = "retrain.dev/v1") -> str:
    return f"apiVersion: {version}\nkind: EventSource\nmetadata: {{name: clock}}\nspec:\n  {body}\n"


def gate(body: str) -> str:
    return (
        "apiVersion: retrain.dev/v1\nkind: Promotion\nmetadata: {name: digits}\nspec:\n"
        "  repo: {url: /srv/deployment.git}\n  environment: staging\n"
        "  edits:\n    - {file: model.yaml, path: spec.uri, value: x}\n"
        f"  gates:\n    - {body}\n"
    )


def findings(folder: Path, text: str) -> list[tuple[str, str, str]]:
    file = folder / "p.yaml"
    file.write_text(text)
    return [(f.path, f.code, f.message) for f in load_project([file]).findings]


def tick(value: int) -> bytes:
    return Event(id=f"t-{value}", source="clock", subject="tick", type="tick", data={"tick": value}).to_json()


@pytest.mark.usefixtures("example")
def test_documents_that_name_an_installed_kind_have_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, documented()["project.yaml"]) == []


def test_the_same_documents_without_the_package_are_refused_by_name(tmp_path: Path) -> None:
    said = {(path, code) for path, code, _ in findings(tmp_path, documented()["project.yaml"])}

    assert ("spec.every", "unknown-field") in said
    assert ("spec.triggers[0].template.statsd", "unknown-field") in said
    assert ("spec.gates[0].kind", "unsupported-kind") in said


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize(
    ("text", "path", "code", "words"),
    [
        (source("evry: {tick: {seconds: 1}}"), "spec.evry", "unknown-field", "did you mean 'every'?"),
        (source("every: {tick: {second: 1}}"), "spec.every.tick.second", "unknown-field", "did you mean 'seconds'?"),
        (source("every: {tick: {seconds: -1}}"), "spec.every.tick.seconds", "wrong-value", "greater than 0"),
        (source("every: {tick: 1}"), "spec.every.tick", "wrong-type", "must be a mapping"),
        (source("every: [1]"), "spec.every", "wrong-type", "must be a mapping"),
        (source("every: {x: {seconds: 1}}\n  webhook: {x: {endpoint: /x}}"), "spec.every.x", "duplicate-name", "taken"),
        (sensor("statds: {metric: m}"), "spec.triggers[0].template.statds", "unknown-field", "did you mean 'statsd'?"),
        (sensor("statsd: {metrik: m}"), "spec.triggers[0].template.statsd.metrik", "unknown-field", "'metric'?"),
        (sensor("statsd: {}"), "spec.triggers[0].template.statsd.metric", "missing-field", "'metric' is missing"),
        (sensor("statsd: m"), "spec.triggers[0].template.statsd", "wrong-type", "must be a mapping"),
        (sensor("statsd: {metric: m, kind: http}"), "spec.triggers[0].template.statsd.kind", "unsupported-field", ""),
        (
            sensor("statsd: {metric: m, parameters: [{src: {dependencyName: tock}, dest: tag}]}"),
            "spec.triggers[0].template.statsd.parameters[0].src.dependencyName",
            "unknown-dependency",
            "did you mean 'tick'?",
        ),
        (
            sensor("statsd: {metric: m, parameters: [{source: {}}]}"),
            "spec.triggers[0].template.statsd.parameters[0].source",
            "unknown-field",
            "",
        ),
        (sensor("statsd: {metric: m}\n        log: {}"), "spec.triggers[0].template", "conflicting-fields", "statsd"),
        (gate("{name: g, kind: gapp, train: a, test: b, max: 1}"), "spec.gates[0].kind", "unsupported-kind", "'gap'?"),
        (gate("{name: g, kind: gap, train: a, test: b}"), "spec.gates[0].max", "missing-field", "missing"),
    ],
)
def test_what_is_wrong_in_a_plugins_kind_is_said_with_its_place(
    tmp_path: Path, text: str, path: str, code: str, words: str
) -> None:
    found = [one for one in findings(tmp_path, text) if one[0] == path and one[1] == code]

    assert len(found) == 1, findings(tmp_path, text)
    assert words in found[0][2]


@pytest.mark.usefixtures("example")
def test_argos_own_documents_name_no_plugins(tmp_path: Path) -> None:
    text = source("every: {tick: {seconds: 1}}", ARGO)

    assert ("spec.every", "unknown-field") in [one[:2] for one in findings(tmp_path, text)]
    assert [one[:2] for one in findings(tmp_path, sensor("statsd: {metric: m}", ARGO))] == [
        ("spec.triggers[0].template", "unsupported-kind"),
        ("spec.triggers[0].template.statsd", "unknown-field"),
    ]


def test_a_kind_that_argo_has_and_nobody_has_built_may_be_brought(site: Path, tmp_path: Path) -> None:
    assert findings(tmp_path, source("nsq: {orders: {topic: orders}}"))[0][1] == "unsupported-kind"

    groups = {"retrain.sources": {"nsq": "my_nsq:Mine"}, "retrain.triggers": {"pulsar": "my_nsq:Mine"}}
    install(site, "my-nsq", groups, my_nsq=MINE)

    assert findings(tmp_path, source("nsq: {orders: {topic: orders}}")) == []
    assert findings(tmp_path, sensor("pulsar: {anything: [goes]}")) == []


@pytest.mark.usefixtures("example")
def test_parameters_fill_a_plugins_action(tmp_path: Path) -> None:
    body = "statsd: {metric: m, parameters: [{src: {dependencyName: tick, dataKey: tick}, dest: tag}]}"
    (tmp_path / "s.yaml").write_text(sensor(body))

    (firing,) = explain_file(tmp_path / "s.yaml", [tick(7)])["firings"]

    assert firing["action"] == {"kind": "statsd", "metric": "m", "tag": "7"}


@pytest.mark.usefixtures("example")
def test_the_triggers_own_parameters_change_a_plugins_template_too(tmp_path: Path) -> None:
    text = sensor("statsd: {metric: m}") + (
        "      retryStrategy: {steps: 2}\n"
        "      parameters: [{src: {dependencyName: tick, dataKey: tick}, dest: statsd.tag}]\n"
    )
    (tmp_path / "s.yaml").write_text(text)

    (firing,) = explain_file(tmp_path / "s.yaml", [tick(8)])["firings"]

    assert firing["action"] == {"kind": "statsd", "metric": "m", "tag": "8", "retryStrategy": {"steps": 2}}


@pytest.mark.usefixtures("example")
@pytest.mark.parametrize("dest", ["port", "kind", "retryStrategy", "nothing"])
def test_what_parameters_put_into_an_action_is_checked_once_more(tmp_path: Path, dest: str) -> None:
    src = "{dependencyName: tick, value: http}"
    (tmp_path / "s.yaml").write_text(sensor(f"statsd: {{metric: m, parameters: [{{src: {src}, dest: {dest}}}]}}"))

    (firing,) = explain_file(tmp_path / "s.yaml", [tick(9)])["firings"]

    assert firing["action"] is None
    assert "statsd trigger as its parameters made it" in firing["error"]


def test_a_package_that_cannot_be_imported_is_named(site: Path, tmp_path: Path) -> None:
    install(site, "broken-kinds", {"retrain.triggers": {"page": "broken_kinds:Page"}}, broken_kinds="import nowhere\n")

    with pytest.raises(ConfigError, match=r"^broken-kinds: 'page' of retrain\.triggers cannot be loaded: .*nowhere"):
        all_kinds()
    assert ("spec.triggers[0].template", "broken-kinds") in [
        (path, message.split(":")[0]) for path, _, message in findings(tmp_path, sensor("page: {}"))
    ]
    assert findings(tmp_path, sensor("log: {}")) == []  # nobody asked for it


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("retrain.sources", "webhook"),
        ("retrain.sources", "template"),
        ("retrain.triggers", "http"),
        ("retrain.triggers", "conditions"),
        ("retrain.gates", "threshold"),
    ],
)
def test_a_name_that_retrain_has_itself_is_refused_with_the_package(site: Path, group: str, name: str) -> None:
    install(site, "greedy", {group: {name: "greedy:Mine"}}, greedy=MINE)

    with pytest.raises(ConfigError, match=rf"^greedy: the name '{name}' is Retrain's own in {group}"):
        all_kinds()


def test_one_name_of_two_packages_is_refused_with_both(site: Path, tmp_path: Path) -> None:
    for name in ("pager-one", "pager-two"):
        install(site, name, {"retrain.triggers": {"page": "pager:Mine"}}, pager=MINE)

    with pytest.raises(ConfigError, match=r"^pager-one and pager-two: both bring 'page'"):
        kinds_with_plugins({}, "retrain.triggers")
    (finding,) = [one for one in findings(tmp_path, sensor("page: {}")) if one[1] == "wrong-value"]
    assert "pager-one and pager-two" in finding[2]


@pytest.mark.parametrize(
    ("group", "module", "why"),
    [
        ("retrain.triggers", "Mine = 7\n", "cannot be called"),
        ("retrain.sources", "class Mine:\n    Spec = dict\n", "no pydantic model"),
        ("retrain.gates", MINE, "lacks Spec or judge"),
    ],
)
def test_a_thing_that_is_no_kind_is_refused(site: Path, group: str, module: str, why: str) -> None:
    install(site, "odd", {group: {"odd": "odd_thing:Mine"}}, odd_thing=module)

    with pytest.raises(ConfigError, match=rf"^odd: .*{why}"):
        Installed(group)["odd"]


def test_a_gate_that_crashes_has_not_judged(site: Path, tmp_path: Path) -> None:
    module = (
        "from pydantic import BaseModel\nclass Mine:\n"
        "    class Spec(BaseModel):\n        name: str\n        kind: str\n"
        "    @staticmethod\n    def judge(spec, evidence):\n        raise KeyError('rows')\n"
    )
    install(site, "rash", {"retrain.gates": {"rash": "rash_gate:Mine"}}, rash_gate=module)
    repository = tmp_path / "deployment"
    repository.mkdir()
    (repository / "model.yaml").write_text("spec: {uri: old}\n")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    person = ("-c", "user.name=T", "-c", "user.email=t@localhost")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*person, "commit", "-qm", "Begin")):
        subprocess.run(["git", *words], cwd=repository, check=True, env=environment)
    file = tmp_path / "promotion.yaml"
    file.write_text(gate("{name: g, kind: rash}").replace("/srv/deployment.git", str(repository)))

    planned: dict[str, Any] = plan_file(file, {"digest": f"sha256:{'4f' * 32}", "uri": "s3://models/7"})

    (verdict,) = planned["gates"]
    assert (verdict["kind"], verdict["verdict"]) == ("rash", "error")
    assert "KeyError" in verdict["reason"]


def test_lint_imports_no_package_that_no_document_names(site: Path, tmp_path: Path) -> None:
    install(site, "loud", {"retrain.triggers": {"loud": "loud_kinds:Mine"}}, loud_kinds="raise SystemExit(9)\n")
    (tmp_path / "s.yaml").write_text(sensor("http: {url: 'http://127.0.0.1/'}"))
    looked = "\n".join(
        (
            "import sys",
            "from retrain.app.projects.lint import lint",
            "print(lint(sys.argv[1:]).errors, 'loud_kinds' in sys.modules)",
        )
    )

    done = subprocess.run(
        [sys.executable, "-c", looked, str(tmp_path / "s.yaml")],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )

    assert done.stdout.split() == ["0", "False"], done.stderr
