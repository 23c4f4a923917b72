"""Findings in the forms of code hosts: each has its place, and no text of a manifest breaks out of its line."""

from __future__ import annotations

import orjson
from click.testing import CliRunner

from retrain.app.projects.lint_formats import github, sarif
from retrain.cli import cli
from retrain.manifests import Finding


def finding(message: str = "must be text", *, severity: str = "error", file: str = "a b/sensor.yaml") -> Finding:
    return Finding(file, 3, 7, "Sensor", "s", "spec.x", severity, "wrong-type", message)  # type: ignore[arg-type]


def test_sarif_has_a_rule_for_each_code_and_a_place_for_each_result() -> None:
    log = sarif([finding(), finding(severity="warning")])

    run = log["runs"][0]  # type: ignore[index,call-overload]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["wrong-type"]
    assert [result["level"] for result in run["results"]] == ["error", "warning"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "a%20b/sensor.yaml"},
        "region": {"startLine": 3, "startColumn": 7},
    }


def test_github_gets_one_line_for_each_finding_whatever_its_text() -> None:
    lines = github([finding("100%\n::error::pwned", severity="warning"), finding()])

    assert lines == [
        "::error file=a b/sensor.yaml,line=3,col=7,title=wrong-type::must be text",
        "::warning file=a b/sensor.yaml,line=3,col=7,title=wrong-type::100%25%0A::error::pwned",
    ]


def test_lint_prints_both(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "sensor.yaml"
    file.write_text("apiVersion: retrain.dev/v1\nkind: Sensor\nmetadata: {name: s}\nspec: {nonsense: 1}\n")

    as_sarif = CliRunner().invoke(cli, ["lint", str(file), "-o", "sarif"])
    as_github = CliRunner().invoke(cli, ["lint", str(file), "-o", "github"])

    assert as_sarif.exit_code == as_github.exit_code == 2
    assert orjson.loads(as_sarif.stdout)["version"] == "2.1.0"
    assert as_github.stdout.startswith("::error file=")
