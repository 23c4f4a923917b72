"""Argo Events' own answers to jq and Lua: ours are the same, but for what is named here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retrain.errors import ConfigError
from retrain.expressions.jq_program import compile_jq
from retrain.expressions.lua_script import compile_lua

GOLDEN = Path(__file__).parents[3] / "shared" / "corpus" / "argo-events" / "golden.json"
DIFFERENT = {"script/os-library-available": "no script gets os and io: they are the machine that the sensor runs on"}

if not GOLDEN.exists():
    pytest.skip("the corpus of vectors is not here", allow_module_level=True)

CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]
SCRIPTS = [case for case in CASES if set(case.get("filters") or {}) == {"script"}]
TRANSFORMS = [case for case in CASES if {"jq", "script"} & set(case.get("transform") or {})]


def test_the_vectors_are_found() -> None:
    assert (len(SCRIPTS), len(TRANSFORMS)) == (10, 12)


@pytest.mark.parametrize("case", SCRIPTS, ids=lambda case: case["name"])
def test_a_script_passes_what_it_passes_upstream(case: dict[str, Any]) -> None:
    want = case["expected"]
    try:
        passed = compile_lua(case["filters"]["script"]).passes(json.dumps(case["data"]))
    except ConfigError:
        assert "error" in want
        return
    assert "error" not in want
    assert passed is (want["pass"] and case["name"] not in DIFFERENT)


@pytest.mark.parametrize("case", TRANSFORMS, ids=lambda case: case["name"])
def test_a_transform_gives_what_it_gives_upstream(case: dict[str, Any]) -> None:
    spec, want = case["transform"], case["expected"]

    def transform() -> str:
        program = compile_jq(spec["jq"]) if "jq" in spec else compile_lua(spec["script"])
        return program.transform(json.dumps(case["data"]))

    if "error" not in want:
        assert json.loads(transform()) == want["data"]
        return
    with pytest.raises(ConfigError) as error:
        transform()
    # The parser's words are another's; what the transform says of itself is upstream's.
    assert want["error"] == "unexpected EOF" or want["error"] in str(error.value)
