"""Every template of Argo Events' own vectors, by itself: what it renders is what upstream got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retrain.expressions.gotemplate import TemplateError, compile_template

GOLDEN = Path(__file__).parents[3] / "shared" / "corpus" / "argo-events" / "golden.json"

if not GOLDEN.exists():
    pytest.skip("the corpus of vectors is not here", allow_module_level=True)

CASES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["cases"]
FILTERS = [c for c in CASES if any(f.get("template") for f in (c.get("filters") or {}).get("data", []))]
PARAMETERS = [c for c in CASES if any(p["src"].get("dataTemplate") for p in c.get("parameters", []))]
FAILING = {
    "param/dataTemplate-sprig-env-exposed": "env is not offered",  # upstream shows its environment
    "param/value-literal-with-missing-key-and-template": 'function "no" not defined',
    "metaflow/missing-fail-default": "use-default-instead",
}
"""Templates that fail, so that the default is taken or the trigger fails."""


def _result(case: dict[str, Any]) -> list[str]:
    """The texts of the object that upstream made."""
    result = case["expected"]["result"]
    parameters = result.get("spec", {}).get("arguments", {}).get("parameters", [])
    return [str(result.get("x")), *(str(one["value"]) for one in parameters)]


@pytest.mark.parametrize("case", FILTERS, ids=lambda case: case["name"])
def test_templates_of_filters_render_as_upstream(case: dict[str, Any]) -> None:
    (one,) = case["filters"]["data"]
    value: Any = case["data"]
    for key in one["path"].split("."):
        value = value[key]
    template = compile_template(one["template"])
    text = value if isinstance(value, str) else json.dumps(value)

    if "error" in case["expected"]:
        with pytest.raises(TemplateError) as error:
            template.render({"Input": text})
        assert str(error.value) in case["expected"]["error"]
    else:
        assert template.render({"Input": text}) == one["value"][0].strip("^$")


@pytest.mark.parametrize("case", PARAMETERS, ids=lambda case: case["name"])
def test_templates_of_parameters_render_as_upstream(case: dict[str, Any]) -> None:
    (parameter,) = case["parameters"]
    data = next(iter(case["events"].values()))
    text = parameter["src"]["dataTemplate"]

    if case["name"] in FAILING:
        with pytest.raises(TemplateError, match=FAILING[case["name"]]):
            compile_template(text).render({"Input": data})
    else:
        assert compile_template(text).render({"Input": data}) in _result(case)
