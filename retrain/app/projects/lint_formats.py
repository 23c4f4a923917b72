"""What `lint` found, in the forms that code hosts show beside the lines: SARIF 2.1.0 and GitHub's workflow commands.

Sources: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html,
https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from urllib.parse import quote

from retrain.events import JsonValue
from retrain.manifests import Finding


def sarif(findings: Iterable[Finding]) -> dict[str, JsonValue]:
    """One SARIF log with one run. Codes are its rules."""
    found = list(findings)
    codes = sorted({one.code for one in found})
    driver: dict[str, JsonValue] = {
        "name": "retrain",
        "version": _version(),
        "rules": [{"id": code, "name": _pascal(code)} for code in codes],
    }
    results: list[JsonValue] = [_result(one, codes.index(one.code)) for one in found]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    }


def github(findings: Iterable[Finding]) -> list[str]:
    """One workflow command for each finding; GitHub shows it beside the line."""
    return [
        f"::{one.severity} file={_property(one.file)},line={max(one.line, 1)},col={max(one.column, 1)},"
        f"title={_property(one.code)}::{_data(one.message)}"
        for one in in_order(findings)
    ]


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first: GitHub shows ten of each kind and drops the rest."""
    return sorted(findings, key=lambda one: one.severity != "error")


def _result(one: Finding, rule: int) -> JsonValue:
    # A URI, relative where the path is: what stands in it must not be taken for a part of the URI.
    uri = quote(PurePath(one.file).as_posix())
    region: dict[str, JsonValue] = {"startLine": max(one.line, 1), "startColumn": max(one.column, 1)}
    place: JsonValue = {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}
    return {
        "ruleId": one.code,
        "ruleIndex": rule,
        "level": one.severity,
        "message": {"text": one.message},
        "locations": [place],
    }


def _pascal(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("-"))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _version() -> str:
    try:
        return version("retrain")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
