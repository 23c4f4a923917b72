"""expr-lang as Argo Workflows and Argo Events use it: their functions, their examples, and upstream's own vectors."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from retrain.events import JsonValue
from retrain.expressions.exprlang import ExprError, compile_expr

CORPUS = Path(__file__).parents[3] / "shared" / "corpus" / "argo-workflows" / "expr_vectors.json"
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)

WORKFLOW: dict[str, JsonValue] = {
    "inputs": {"parameters": {"my-x": "dashed", "n": "7", "json": '{"items": [{"name": "a"}, {"name": "b"}]}'}},
    "steps": {"flip-coin": {"outputs": {"result": "heads"}, "status": "Succeeded"}},
    "workflow": {"name": "train-x7", "status": "Failed", "parameters": {"day": "2026-11-20"}},
    "lastRetry": {"exitCode": "137", "status": "Failed", "duration": "12", "message": "OOM killed"},
    "retries": "2",
    "payload": {"action": "opened", "size": 12, "labels": ["gpu", "train"], "sender": {"login": "ada"}},
    "data": ["a.pdf", "b.txt", "c.pdf"],
    "response": {"statusCode": 200, "body": "all ok"},
    "A": {"Succeeded": True, "Failed": False},
    "B": {"Succeeded": False, "Failed": True},
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("inputs.parameters['my-x']", "dashed"),
        ("asInt(inputs.parameters.n) * 2 > 13 ? 'big' : 'small'", "big"),
        ("asFloat(inputs.parameters.n) / 2", 3.5),
        ("jsonpath(inputs.parameters.json, '$.items[*].name')", ["a", "b"]),
        ("steps['flip-coin'].outputs.result == 'heads' ? steps['flip-coin'].status : nil", "Succeeded"),
        ("workflow.status == \"Failed\" && workflow.name startsWith 'train-'", True),
        ("asInt(lastRetry.exitCode) > 1 and not (lastRetry.message contains 'evicted')", True),
        ('lastRetry.exitCode != "2" || asInt(retries) < 1', True),
        ("filter(data, {# endsWith '.pdf'})", ["a.pdf", "c.pdf"]),
        ("response.statusCode == 200 && response.body contains 'ok'", True),
        ("(A.Succeeded || A.Failed) && !B.Succeeded", True),
        ("payload.action in ['opened', 'reopened'] and 'gpu' in payload.labels", True),
        ("payload?.head?.ref ?? 'main'", "main"),
        ("toJson(payload.sender)", '{"login":"ada"}'),
        ("map(fromJSON(inputs.parameters.json).items, .name) | join('+')", "a+b"),
        ("(now() - date(workflow.parameters.day)).Hours() > 24", True),
        ("sprig.trim(' x ') + sprig.upper('y')", "xY"),
        ("sprig.trunc(5, 'hello world') + sprig.trunc(-5, 'hello world')", "helloworld"),
        ("sprig.replace(' ', '-', workflow.name + ' 1')", "train-x7-1"),
        ("sprig.int(retries) + 1", 3),
        ("sprig.dig('sender', 'login', 'nobody', payload)", "ada"),
        ("sprig.dig('sender', 'mail', 'nobody', payload)", "nobody"),
        ("sprig.date('2006-01-02', now())", "2026-11-21"),
        ("sprig.join('/', [1, 'a', 2.5])", "1/a/2.5"),
        ("sprig.list(1, 2) == [1, 2] && sprig.max(1, 3, 2) == 3", True),
        ("sprig.toString(5) + sprig.default('z', '')", "5z"),
        ("map(payload.labels, sprig.title(#))", ["Gpu", "Train"]),
        ("sprig.dict('a', 1).a + len(sprig.splitList(',', 'a,b'))", 3),
    ],
)
def test_expressions_of_argo(text: str, want: JsonValue) -> None:
    assert compile_expr(text).evaluate(WORKFLOW, now=NOW) == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sprig.env('HOME')", "sprig.env is not offered: templates do not see the environment"),
        ("sprig.expandenv('$HOME')", "sprig.expandenv is not offered"),
        ("sprig.trimm('a')", "did you mean trim"),
        ("sprig.__class__", "unknown function sprig.__class__"),
        ("sprig.trunc('a')", "sprig.trunc"),
        ("sprig.fail('no such model')", "no such model"),
        ("sprig.now()", "sprig.now"),
        ("sprig.trim", "the result is a func"),
        ("retries > 1", "invalid operation: string > int"),
    ],
)
def test_what_argos_functions_refuse(text: str, says: str) -> None:
    with pytest.raises(ExprError, match=re.escape(says)):
        compile_expr(text).evaluate(WORKFLOW)


def test_functions_that_change_a_map_change_a_copy() -> None:
    env: dict[str, JsonValue] = {"m": {"a": {"b": 1}}}
    expression = compile_expr("sprig.set(m, 'c', 2).c + len(sprig.merge({a: {c: 1}}, m).a) + len(sprig.unset(m, 'a'))")

    assert expression.evaluate(env) == 4
    assert env == {"m": {"a": {"b": 1}}}


def test_chance_follows_the_seed() -> None:
    expression = compile_expr("[sprig.uuidv4(), sprig.uuidv4(), sprig.randAlphaNum(8)]")

    first, again, other = (expression.evaluate({}, seed=seed) for seed in ("firing-1", "firing-1", "firing-2"))

    assert first == again
    assert isinstance(first, list)
    assert first[0] != first[1]
    assert first != other


def _vectors() -> list[Any]:
    if not CORPUS.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason="the corpus of upstream's vectors is not here"))]
    vectors = json.loads(CORPUS.read_text())["template_lenient"]
    return [pytest.param(vector, id=vector["template"][-60:]) for vector in vectors if "{{=" in vector["template"]]


@pytest.mark.parametrize("vector", _vectors())
def test_upstreams_vectors(vector: dict[str, Any]) -> None:
    env: dict[str, Any] = {}
    for name, value in vector["vars"].items():
        *above, last = name.split(".")
        place = env
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value

    def replaced(found: re.Match[str]) -> str:
        try:
            got = compile_expr(found[1]).evaluate(env, now=NOW)
        except ExprError:
            return found.group()
        return got if isinstance(got, str) else json.dumps(got, separators=(",", ":"))

    assert re.sub(r"\{\{=(.*?)\}\}(?!\})", replaced, vector["template"], flags=re.DOTALL) == vector["want"]
