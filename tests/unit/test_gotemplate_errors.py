"""What is wrong with a template, in Go's words and at Go's place."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.errors import ConfigError
from retrain.expressions import sprig
from retrain.expressions.gotemplate import TemplateError, compile_template

DATA: dict[str, Any] = {"s": "hello", "n": 50, "z": None, "arr": [1, 2, 3], "m": {"k": 1, "j": 2}}

COMPILING = [
    ("{{ nofunc 1 }}", 'template: param:1: function "nofunc" not defined'),
    ("{{ if }}x{{ end }}", "template: param:1: missing value for if"),
    ("{{ if 1 }}x", "template: param:1: unexpected EOF"),
    ("\n\n{{ end }}", "template: param:3: unexpected {{end}}"),
    ("{{ else }}", "template: param:1: unexpected {{else}}"),
    ("{{ $x }}", 'template: param:1: undefined variable "$x"'),
    ("{{ range $i := .m }}{{ end }}{{ $i }}", 'template: param:1: undefined variable "$i"'),
    ("{{ 1 | 2 }}", "template: param:1: non executable command in pipeline stage 2"),
    ("{{ break }}", "template: param:1: {{break}} outside {{range}}"),
    ('{{ define "x" }}a{{ end }}{{ define "x" }}b{{ end }}', 'multiple definition of template "x"'),
    ('{{ "unterminated }}', "template: param:1: unterminated quoted string"),
    ("{{ `unterminated }}", "template: param:1: unterminated raw quoted string"),
    ("{{ 'ab' }}", "template: param:1: malformed character constant: 'ab'"),
    ('{{ "\\q" }}', "template: param:1: invalid syntax"),
    ("x{{/* unclosed", "template: param:1: unclosed comment"),
    ("x{{/* a */ }}", "template: param:1: comment ends before closing delimiter"),
    ("{{ .a", "template: param:1: unclosed action"),
    ("{{ (1 }}", "template: param:1: unclosed left paren"),
    ("{{ 1) }}", "template: param:1: unexpected right paren"),
    ("{{ .a. }}", "template: param:1: unexpected <.> in operand"),
    ("{{ $a, $b := 1 }}", "template: param:1: too many declarations in command"),
    ("{{ range $a, $b, $c := .m }}{{ end }}", "template: param:1: too many declarations in range"),
    ("{{ 12x }}", 'template: param:1: bad number syntax: "12x"'),
    ("{{ .a+1 }}", "template: param:1: bad character U+002B '+'"),
    ("{{ é§ }}", "template: param:1: bad character U+00A7 '§'"),
    ("{{ 99999999999999999999 }}", 'template: param:1: integer overflow: "99999999999999999999"'),
    ("{{ 1+2i }}", "complex numbers are not offered"),
    ("{{ call .m }}", "call is not offered"),
]

RENDERING = [
    ("{{ .s.x }}", 'template: param:1:5: executing "param" at <.s.x>: can\'t evaluate field x in type interface {}'),
    ("\n {{ .z.x }}", 'template: param:2:6: executing "param" at <.z.x>: nil pointer evaluating interface {}.x'),
    ("{{ upper 1 }}", 'template: param:1:9: executing "param" at <1>: expected string; found 1'),
    ("{{ upper .n }}", "at <.n>: wrong type for value; expected string; got float64"),
    ("{{ upper .z }}", "at <.z>: wrong type for value; expected string; got interface {}"),
    ("{{ upper .nope }}", "at <.nope>: invalid value; expected string"),
    ("{{ upper }}", "at <upper>: wrong number of args for upper: want 1 got 0"),
    ('{{ upper "a" "b" }}', "wrong number of args for upper: want 1 got 2"),
    ("{{ until (add 1 2) }}", "at <2>: wrong type for value; expected int; got int64"),
    ('{{ template "nope" }}', 'at <{{template "nope"}}>: template "nope" not defined'),
    ("{{ nil }}", "at <nil>: nil is not a command"),
    ("{{ .m.k 1 }}", "at <.m.k>: k is not a method but has arguments"),
    ("{{ 1 2 }}", "at <1>: can't give argument to non-function 1"),
    ("{{ index .arr 5 }}", "at <index .arr 5>: error calling index: index out of range: 5"),
    ("{{ index .arr .n }}", "error calling index: cannot index slice/array with type float64"),
    ("{{ index .nope 1 }}", "error calling index: index of untyped nil"),
    ("{{ len 3 }}", "error calling len: len of type int"),
    ("{{ eq .n 50 }}", "error calling eq: incompatible types for comparison: float64 and int"),
    ("{{ lt true false }}", "error calling lt: invalid type for comparison"),
    ("{{ range .s }}{{ end }}", "at <.s>: range can't iterate over hello"),
    ("{{ range $i, $j := 3 }}{{ end }}", "can't use 3 to iterate over more than one variable"),
    ("{{ hasKey .arr 1 }}", "wrong type for value; expected map[string]interface {}; got []interface {}"),
    ('{{ fail "use-default-instead" }}', 'at <fail "use-default-instead">: error calling fail: use-default-instead'),
    ("{{ now }}", "at <now>: error calling now: now: the time is not known here"),
]


@pytest.mark.parametrize(("template", "message"), COMPILING)
def test_what_is_no_template_is_said_when_it_is_compiled(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(template)

    assert message in str(error.value)


@pytest.mark.parametrize(("template", "message"), RENDERING)
def test_what_fails_says_where_and_why(template: str, message: str) -> None:
    compiled = compile_template(template)

    with pytest.raises(TemplateError) as error:
        compiled.render(DATA)

    assert message in str(error.value)


@pytest.mark.parametrize("name", sorted(sprig.REFUSED))
def test_functions_that_reach_out_are_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not offered: "):
        compile_template(f'{{{{ if false }}}}{{{{ {name} "HOME" }}}}{{{{ end }}}}')


def test_messages_call_the_template_by_its_name() -> None:
    with pytest.raises(TemplateError, match=r'^template: mine:1:3: executing "mine" at <\.x>'):
        compile_template("{{ .x }}", name="mine").render("text")
