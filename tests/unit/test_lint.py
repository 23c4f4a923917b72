"""`retrain lint`: the findings, the summary and the exit status that people and scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from retrain.cli.lint import lint

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: hello-}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {image: busybox:1, command: [echo, hello]}
"""


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(lint, [str(word) for word in words])


def lines(tmp_path: Path, text: str | bytes) -> list[str]:
    """What lint prints of a file of this text, without the file's name."""
    file = tmp_path / "x.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [line.removeprefix(f"{file}:") for line in run(file).stdout.splitlines()]


def test_right_manifests_are_silent_and_exit_0(tmp_path):
    (tmp_path / "a.yaml").write_text(CONFIG + "---\n" + WORKFLOW)
    (tmp_path / "values.yaml").write_text("a: 1\n")

    result = run(tmp_path)

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 file, 2 documents: 0 errors, 0 warnings (1 file passed over: no manifest of ours)\n"


def test_json_has_exactly_the_promised_fields(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(WORKFLOW.replace("entrypoint", "entrypont"))

    result = run(file, "-o", "json")

    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert (report["files"], report["documents"]) == (1, 1)
    assert report["findings"][0] == {
        "file": str(file),
        "line": 5,
        "column": 3,
        "kind": "Workflow",
        "name": "hello-",
        "path": "spec.entrypont",
        "severity": "error",
        "code": "unknown-field",
        "message": "unknown field 'entrypont'; did you mean 'entrypoint'?",
    }


def test_yaml_and_names_are_printed_too(tmp_path):
    (tmp_path / "a.yaml").write_text(CONFIG + "a: 1\na: 2\n")

    assert run(tmp_path, "-o", "name").stdout == f"{tmp_path}/a.yaml\n"
    assert "code: duplicate-key" in run(tmp_path, "-o", "yaml").stdout


def test_warnings_do_not_fail(tmp_path):
    (tmp_path / "a.yaml").write_text(CONFIG + "---\napiVersion: apps/v1\nkind: Deployment\n")

    result = run(tmp_path)

    assert result.exit_code == 0
    assert result.stdout.endswith("foreign-kind Deployment of apps/v1 is not a kind of ours; it is passed over\n")
    assert result.stderr == "1 file, 2 documents: 0 errors, 1 warning\n"


def test_a_path_that_does_not_exist_is_an_error(tmp_path):
    result = run(tmp_path / "none.yaml")

    assert result.exit_code == 2
    assert result.stdout == (
        f"{tmp_path}/none.yaml:1:1: error no-such-path there is no file or directory '{tmp_path}/none.yaml'\n"
    )
    assert result.stderr == "0 files, 0 documents: 1 error, 0 warnings\n"


def test_an_empty_file_and_an_empty_directory_hold_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("")

    assert run(tmp_path / "empty.yaml").stderr == "1 file, 0 documents: 0 errors, 0 warnings\n"
    assert (
        run(tmp_path).stderr == "0 files, 0 documents: 0 errors, 0 warnings (1 file passed over: no manifest of ours)\n"
    )


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)

BAD = {
    "broken YAML": (
        "kind: 'Sensor\n",
        "2:1: error bad-yaml not YAML: found unexpected end of stream while scanning a quoted scalar that starts in "
        "line 1 (a quote or bracket is not closed)",
    ),
    "a tab": ("a:\n\tb: 1\n", "2:1: error bad-yaml not YAML: a tab; YAML is indented with spaces"),
    "bad UTF-8": (b"kind: \xff\n", "1:7: error bad-encoding byte 0xff is not UTF-8; save the file as UTF-8"),
    "a duplicate key": (
        CONFIG + "data: {}\nkind: Secret\n",
        "5:1: error duplicate-key the key 'kind' is there twice: first in line 2, again in line 5",
    ),
    "a billion laughs": (LAUGHS, "5:45: error too-many-aliases the aliases stand for more than 100,000 values"),
    "a recursive alias": ("a: &a {b: *a}", "1:11: error recursive-alias *a stands inside its own anchor &a"),
    "no manifest": (
        "a: 1\n",
        "1:1: error not-a-manifest apiVersion and kind missing; every manifest begins with apiVersion and kind",
    ),
    "an unknown kind": (
        "apiVersion: argoproj.io/v1alpha1\nkind: Senser\n",
        "2:7: error unknown-kind unknown kind 'Senser' of argoproj.io/v1alpha1; did you mean 'Sensor'?",
    ),
    "an unknown version": (
        "apiVersion: argoproj.io/v1\nkind: Workflow\n",
        "1:13: error unknown-kind Workflow has apiVersion argoproj.io/v1alpha1, not 'argoproj.io/v1'",
    ),
    "a mistyped group": (
        "apiVersion: retrian.dev/v1\nkind: Promotion\n",
        "1:13: error unknown-kind Promotion has apiVersion retrain.dev/v1, not 'retrian.dev/v1'",
    ),
    "a kind that changes nothing": (
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {name: default}\n",
        "2:7: warning ignored-kind files choose no bus, RETRAIN_BUS_URL does; "
        "on a cluster its status says which it means",
    ),
    "a neighbour's kind": (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\n",
        "2:7: warning foreign-kind Application of argoproj.io/v1alpha1 is not a kind of ours; it is passed over",
    ),
    "no name": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
        "3:1: error missing-name metadata.name is missing; every ConfigMap has one",
    ),
    "no name for a template": (
        WORKFLOW.replace("{generateName: hello-}", "{}").replace("kind: Workflow", "kind: WorkflowTemplate"),
        "3:1: warning missing-name metadata.name is missing; nothing can refer to it, and Kubernetes would refuse it",
    ),
    "a number in a ConfigMap": (
        CONFIG + "data: {retries: 3}\n",
        "4:17: error wrong-type must be text, not the number 3: put it in quotes",
    ),
    "no name for a workflow": (
        WORKFLOW.replace("{generateName: hello-}", "{}"),
        "3:1: warning missing-name neither metadata.name nor metadata.generateName; "
        "Kubernetes would refuse it, locally it gets a name",
    ),
    "a name twice": (
        CONFIG + "---\n" + CONFIG,
        "7:18: error duplicate-name a second ConfigMap named 'settings'; the first is in {file}:1",
    ),
    "a template that is nowhere": (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {workflowTemplateRef: {name: trian}}\n"
        "---\napiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: train}\nspec: {}\n",
        "4:36: error unknown-template no WorkflowTemplate is named 'trian'; did you mean 'train'?",
    ),
}


@pytest.mark.parametrize(("text", "line"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_one_line_that_says_what_would_be_right(tmp_path, text, line):
    assert line.replace("{file}", f"{tmp_path}/x.yaml") in lines(tmp_path, text)


def test_of_a_template_that_is_nowhere_it_is_said_once_that_it_is_missing(tmp_path):
    """The entrypoint, the exit handler and the values of arguments would come from it."""
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\n"
        "spec: {onExit: tell, arguments: {parameters: [{name: day}]}, workflowTemplateRef: {name: train}}\n"
    )

    assert [line.split(" ", 1)[1] for line in lines(tmp_path, text)] == [
        "error unknown-template no WorkflowTemplate is named 'train'"
    ]


def test_the_same_name_in_two_namespaces_is_no_clash(tmp_path):
    other = CONFIG.replace("name: settings", "name: settings, namespace: b")

    assert lines(tmp_path, CONFIG + "---\n" + other) == []
