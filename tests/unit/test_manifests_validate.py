"""A document against a model: each complaint has its place, and says what would be right."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from retrain.manifests import load_text, validate


class Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Http(Spec):
    kind: Literal["http"] = "http"
    url: str
    method: Literal["GET", "POST"] = "GET"
    timeout: int = 1
    secure: bool = False
    payload: dict[str, Any] = {}


class Log(Spec):
    kind: Literal["log"]
    level: str | int = "info"


class Policy(Spec):
    status: list[int] = []


class Template(Spec):
    name: str
    http: Http | None = None
    retry_strategy: float | None = Field(None, alias="retryStrategy")

    @field_validator("name")
    @classmethod
    def _short(cls, name: str) -> str:
        if len(name) > 10:
            raise ValueError(f"{name!r} is longer than 10 characters")
        return name


class Tags(RootModel[list[str]]):
    pass


class Trigger(Spec):
    template: Template
    policy: Policy | None = None
    either: Http | Policy | str | None = None
    tagged: Annotated[Http | Log, Field(discriminator="kind")] | None = None


class Body(Spec):
    triggers: list[Trigger] = Field([], max_length=2)
    labels: dict[str, str] = {}
    tags: Tags | None = None


class Thing(Spec):
    apiVersion: str
    kind: str
    metadata: dict[str, Any] = {}
    spec: Body = Body()


HEAD = "apiVersion: a/v1\nkind: Thing\nspec:\n"
TRIGGER = HEAD + "  triggers:\n  - template: {name: x}\n    "


def check(text: str, **options: Any) -> tuple[Thing | None, list[str]]:
    (document,), findings = load_text(text, "t.yaml")
    assert findings == []
    model, found = validate(document, Thing, **options)
    return model, [f"{f.line}:{f.column} {f.path} {f.severity} {f.code} {f.message}" for f in found]


CASES = {
    "nearest name": (
        HEAD + "  trigers: []",
        "4:3 spec.trigers error unknown-field unknown field 'trigers'; did you mean 'triggers'?",
    ),
    "other spelling": (
        HEAD + "  triggers:\n  - template: {name: x, RetryStrategy: 1}",
        "5:25 spec.triggers[0].template.RetryStrategy error unknown-field "
        "unknown field 'RetryStrategy'; did you mean 'retryStrategy'?",
    ),
    "belongs further out": (
        HEAD + "  triggers:\n  - template:\n      name: x\n      policy: {}",
        "7:7 spec.triggers[0].template.policy error unknown-field "
        "unknown field 'policy'; it belongs further out, in spec.triggers[0].policy",
    ),
    "belongs further in": (
        HEAD + "  triggers:\n  - template:\n      name: x\n      url: y",
        "7:7 spec.triggers[0].template.url error unknown-field "
        "unknown field 'url'; it belongs in spec.triggers[0].template.http.url",
    ),
    "nothing near": (
        TRIGGER + "policy: {zzz: 1}",
        "6:14 spec.triggers[0].policy.zzz error unknown-field unknown field 'zzz'; known here: status",
    ),
    "a bare word as key": (
        TRIGGER + "policy: {on: 1}",
        "6:14 spec.triggers[0].policy.true error unknown-field unknown field 'true'; "
        "YAML reads a bare y, yes, on, n, no, off as true or false: put it in quotes",
    ),
    "missing": (
        HEAD + "  triggers:\n  - policy: {}",
        "5:5 spec.triggers[0].template error missing-field the field 'template' is missing",
    ),
    "a number for text": (
        HEAD + "  labels: {a: 1}",
        "4:15 spec.labels.a error wrong-type must be text, not the number 1: put it in quotes",
    ),
    "a boolean for text": (
        HEAD + "  labels: {a: yes}",
        "4:15 spec.labels.a error wrong-type must be text, not true "
        "(YAML reads a bare y, yes, on, n, no, off as true or false): put it in quotes",
    ),
    "text for a number": (
        TRIGGER + "either: {url: x, timeout: soon}",
        "6:31 spec.triggers[0].either.timeout error wrong-type must be an integer, not the text 'soon'",
    ),
    "a mapping for a list": (
        HEAD + "  triggers: {}",
        "4:3 spec.triggers error wrong-type must be a list, not a mapping",
    ),
    "text for a boolean": (
        TRIGGER + "either: {url: x, secure: sure}",
        "6:30 spec.triggers[0].either.secure error wrong-type must be true or false, not the text 'sure'",
    ),
    "none of several types": (
        TRIGGER + "either: [1]",
        "6:5 spec.triggers[0].either error wrong-type must be a mapping or text, not a list",
    ),
    "none of the words": (
        TRIGGER + "either: {url: x, method: PSOT}",
        "6:30 spec.triggers[0].either.method error wrong-value "
        "must be 'GET' or 'POST', not the text 'PSOT'; did you mean 'POST'?",
    ),
    "no such member of a union": (
        TRIGGER + "tagged: {kind: logg}",
        "6:20 spec.triggers[0].tagged.kind error wrong-value "
        "must be 'http' or 'log', not the text 'logg'; did you mean 'log'?",
    ),
    "no word for a union": (
        TRIGGER + "tagged: {level: 1}",
        "6:5 spec.triggers[0].tagged.kind error missing-field the field 'kind' is missing",
    ),
    "inside a member of a union": (
        TRIGGER + "tagged: {kind: log, level: []}",
        "6:25 spec.triggers[0].tagged.level error wrong-type must be text or an integer, not a list",
    ),
    "a check of the model": (
        HEAD + "  triggers:\n  - template: {name: much-too-long}",
        "5:22 spec.triggers[0].template.name error wrong-value 'much-too-long' is longer than 10 characters",
    ),
    "a list as root model": (
        HEAD + "  tags: [a, 1]",
        "4:13 spec.tags[1] error wrong-type must be text, not the number 1: put it in quotes",
    ),
    "a null in a list": (
        HEAD + "  tags: [a, ~]",
        "4:13 spec.tags[1] error wrong-type must be text, not null",
    ),
}


@pytest.mark.parametrize(("text", "complaint"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_said_with_what_would_be_right(text, complaint):
    assert check(text) == (None, [complaint])


def test_all_that_is_wrong_is_said_at_once_in_order():
    _, found = check(HEAD + "  zzzz: 1\n  labels: {a: 1}\n  triggers:\n  - {}\n  - {template: {}}\n")

    assert [line.split()[0] for line in found] == ["4:3", "5:15", "7:5", "8:6"]


def test_a_document_that_fits_is_its_model():
    model, found = check(TRIGGER + "either: {url: x, payload: {free: [~, {form: 1}]}}")

    assert found == []
    assert isinstance(model, Thing)
    assert isinstance(model.spec.triggers[0].either, Http)
    assert model.spec.triggers[0].either.payload == {"free": [None, {"form": 1}]}


def test_unknown_fields_may_be_dropped_with_a_warning():
    model, found = check(TRIGGER + "polcy: {}\n    policy: {zzz: 1, status: [1]}", unknown="warning")

    assert isinstance(model, Thing)
    assert model.spec.triggers[0].policy == Policy(status=[1])
    assert found == [
        "6:5 spec.triggers[0].polcy warning unknown-field unknown field 'polcy'; did you mean 'policy'?",
        "7:14 spec.triggers[0].policy.zzz warning unknown-field unknown field 'zzz'; known here: status",
    ]


def test_a_dropped_field_does_not_hide_an_error():
    model, found = check(HEAD + "  zzz: 1\n  labels: {a: 1}", unknown="warning")

    assert model is None
    assert [line.split()[2] for line in found] == ["warning", "error"]


def test_null_is_the_same_as_leaving_a_field_out():
    model, found = check("apiVersion: a/v1\nkind: Thing\nmetadata:\nspec:\n  triggers:\n  labels: {a: ~, b: x}\n")

    assert found == []
    assert isinstance(model, Thing)
    assert model.spec == Body(labels={"b": "x"})
    assert check(HEAD + "  triggers:\n  - template: ~")[1] == [
        "5:15 spec.triggers[0].template error missing-field the field 'template' is missing"
    ]


def test_the_document_itself_is_left_as_it_is():
    (document,), _ = load_text(HEAD + "  zzz: 1\n  triggers: ~\n", "t.yaml")

    validate(document, Thing, unknown="warning")

    assert document.body["spec"] == {"zzz": 1, "triggers": None}
