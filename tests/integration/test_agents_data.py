"""`data` templates list what was really saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.agents.data import DataAgent
from pipelines.artifacts.opening import open_artifacts
from pipelines.artifacts.port import ArtifactRun
from pipelines.core.happenings import Task, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local.leaf import StepRun

RUN = StepRun("r-1", "wf", "r-1", Path("/nowhere"))
KEYS = ("in/a.txt", "in/b.pdf", "in/c/d.pdf", "other/e.pdf")


async def listed(data: Path, key: str, *expressions: str, **source: Any) -> TaskResult:
    artifacts = open_artifacts(data, {})
    file = data / "one"
    file.write_text("x")
    for name in KEYS:
        made = {"name": "a", "path": "/a", "s3": {"key": name}, "archive": {"none": {}}}
        artifacts.save(made, file, ArtifactRun("r-0", "wf", "default", "n", "p"))
    template = {
        "data": {
            "source": source or {"artifactPaths": {"name": "bucket", "s3": {"key": key}}},
            "transformation": [{"expression": one} for one in expressions],
        }
    }
    with anyio.fail_after(20):
        return await DataAgent(artifacts).do(Task("wf-1", "wf", "wf-1", template, kind="data"), RUN)


async def test_the_keys_below_a_prefix_are_the_result(tmp_path):
    result = await listed(tmp_path, "in")

    assert (result.phase, result.exit_code) == (Phase.Succeeded, 0)
    assert json.loads(result.result or "") == ["in/a.txt", "in/b.pdf", "in/c/d.pdf"]


@pytest.mark.parametrize(
    ("expressions", "result"),
    [
        (['filter(data, {# endsWith ".pdf"})'], '["in/b.pdf","in/c/d.pdf"]'),
        (['filter(data, {# endsWith ".pdf"})', "map(data, {upper(#)})", "data[0]"], '"IN/B.PDF"'),
        (["len(data)"], "3"),
        (["map(data, {{'key': #}})[0]"], '{"key":"in/a.txt"}'),
    ],
)
async def test_transformations_follow_each_other(tmp_path, expressions, result):
    assert (await listed(tmp_path, "in", *expressions)).result == result


@pytest.mark.parametrize(
    ("expression", "message"),
    [("nope", "error processing data step 0"), ("filter(data,", "error processing data step 0")],
)
async def test_an_expression_that_fails_fails_the_node(tmp_path, expression, message):
    result = await listed(tmp_path, "in", expression)

    assert (result.phase, result.exit_code) == (Phase.Failed, 64)
    assert result.message.startswith("main: Error (exit code 64): unable to process data template")
    assert message in result.message


async def test_a_source_that_cannot_be_listed_fails_the_node(tmp_path):
    raw = await listed(tmp_path, "", artifactPaths={"name": "x", "raw": {"data": "x"}})
    none = await listed(tmp_path, "", nope={})

    assert raw.phase is none.phase is Phase.Failed
    assert "unable to source artifact paths" in raw.message
    assert "no valid source is used for data template" in none.message
