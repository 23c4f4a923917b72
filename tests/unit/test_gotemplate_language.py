"""Go's text/template: each row is what Go itself renders."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.expressions.gotemplate import compile_template

DATA: dict[str, Any] = {
    "s": "hello world",
    "n": 50,
    "f": 3.14,
    "big": 1000000,
    "t": True,
    "z": None,
    "e": "",
    "arr": [1, 2, 3],
    "obj": {"b": 1, "a": {"x": [1, None, "q"]}},
    "m": {"k": 1, "j": 2},
    "html": "<a href='x'>&\"</a>",
}

VALUES = [
    ("{{ .s }}|{{ .n }}|{{ .f }}|{{ .t }}|{{ .e }}|", "hello world|50|3.14|true||"),
    ("{{ .big }} {{ 1000000 }} {{ 1000000.0 }}", "1e+06 1000000 1e+06"),
    ("{{ .obj }} {{ .arr }}", "map[a:map[x:[1 <nil> q]] b:1] [1 2 3]"),
    ("{{ .z }} {{ .nope }} {{ .nope.x.y }}", "<no value> <no value> <no value>"),
    ("{{ print .z }} {{ print .nope }} {{ print nil }}", "<nil> <nil> <nil>"),
    ('{{ $.m.k }} {{ (.m).k }} {{ (index .obj "a").x }}', "1 1 [1 <nil> q]"),
    (
        r"""{{ "a\tb" }}{{ `raw\n` }}{{ 'a' }} {{ '\'' }} {{ 0x1F }} {{ 1e3 }} {{ 1_000 }} {{ 017 }} {{ 0b11 }}""",
        "a\tbraw\\n97 39 31 1000 1000 15 3",
    ),
    ("{{ -5 }} {{ +5 }} {{ 1.5 }} {{ .5 }} {{ 1. }} {{ 0x1p4 }}", "-5 5 1.5 0.5 1 16"),
    ("{{ true }} {{ false }} {{ not true }} {{ ((((1)))) }} {{ (1 | print) }}", "true false false 1 1"),
    (r'{{ "\u00e9\x41\101\a" | printf "%q" }}', r'"éAA\a"'),
]

BLOCKS = [
    ("{{ if .t }}y{{ else }}n{{ end }}", "y"),
    ("{{ if .z }}y{{ else if .e }}e{{ else if .n }}n{{ else }}z{{ end }}", "n"),
    ("{{ with .m }}{{ .k }}{{ $.n }}{{ else }}n{{ end }}", "150"),
    ("{{ with .q }}1{{ else with .m }}{{ .k }}{{ else }}z{{ end }}", "1"),
    ("{{ with $x := 0 }}{{ $x }}{{ else }}{{ $x }}{{ end }}", "0"),
    ("{{ range .arr }}{{ . }},{{ end }}", "1,2,3,"),
    ("{{ range $i, $e := .arr }}{{ $i }}={{ $e }};{{ end }}", "0=1;1=2;2=3;"),
    ("{{ range $k, $v := .m }}{{ $k }}={{ $v }};{{ end }}", "j=2;k=1;"),
    ("{{ range .m }}{{ . }}{{ end }}{{ range 3 }}{{ . }}{{ end }}{{ range $i := 2 }}{{ $i }}{{ end }}", "2101201"),
    ("{{ range .nope }}{{ else }}none{{ end }}{{ range .z }}{{ else }}none{{ end }}", "nonenone"),
    ("{{ range $x := .nope }}{{ else }}{{ $x }}{{ end }}", "<no value>"),
    ("{{ range .arr }}{{ if eq . 2.0 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "13"),
    ("{{ range .arr }}{{ if eq . 2.0 }}{{ break }}{{ end }}{{ . }}{{ end }}", "1"),
    ("{{ range 2 }}{{ range 5 }}{{ if eq . 2 }}{{ break }}{{ end }}{{ . }}{{ end }};{{ end }}", "01;01;"),
    (
        '{{ define "x" }}<{{ . }}{{ $ }}>{{ end }}{{ template "x" .m.k }}{{ template "x" }}',
        "<11><<no value><no value>>",
    ),
    ('{{ block "b" .m }}{{ .k }}{{ end }}{{ template "b" .obj }}', "1<no value>"),
    ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }}", "32"),
    ("{{ $x := 1 }}{{ range .arr }}{{ $x = . }}{{ end }}{{ $x }}", "3"),
    ("{{ range $x := list 1 2 3 }}{{ if eq $x 2 }}{{ $x = 5 }}{{ end }}{{ $x }}{{ end }}", "153"),
]

SPACES = [
    ("a {{- 1 -}} b", "a1b"),
    ("a {{- /* c */ -}} b{{/* c */}}x", "abx"),
    ("a\n\n  {{- 1 }} \n {{ 2 -}}  \n\t b", "a1 \n 2b"),
    ('{{ .m.k -}}   \n x {{- " y" }}', "1x y"),
    ("{{-3}}|{{3 -}} a", "-3|3a"),
    ('}} {{ "}}" }} { {', "}} }} { {"),
    ("", ""),
    ('{{ define "a" }}x{{ end }}', ""),
]

FUNCTIONS = [
    ('{{ len .s }} {{ len .arr }} {{ len .m }} {{ len "é" }}', "11 3 2 2"),
    (
        '{{ index .arr 1 }} {{ index .m "k" }} {{ index .m "q" }} {{ index .s 1 }} {{ index .obj "a" "x" 2 }}',
        "2 1 <no value> 101 q",
    ),
    ('{{ slice .arr 1 2 }} {{ and 1 0 2 }} {{ or 0 "" "x" .nope.y }} {{ not 0 }} {{ not .nope }}', "[2] 0 x true true"),
    ('{{ and 0 (fail "x") }} {{ or 1 (fail "x") }}', "0 1"),
    (
        '{{ eq 1 1 }} {{ eq 1 2 1 }} {{ eq "a" "b" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 3 2 }} {{ ge 1 2 }}',
        "true true false true true true true false",
    ),
    ("{{ eq .z nil }} {{ eq .nope nil }} {{ eq .n 50.0 }}", "true true true"),
    (
        '{{ html .html }} {{ js .html }} {{ urlquery "a b&c=d/é" }} {{ html .z }}',
        "&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; \\u003Ca href\\u003D\\'x\\'\\u003E\\u0026\\\"\\u003C/a\\u003E "
        "a+b%26c%3Dd%2F%C3%A9 &lt;no value&gt;",
    ),
    ('{{ "a" | upper | printf "%s-%s" "b" }} {{ .s | trunc 5 | quote }}', 'b-A "hello"'),
    ('{{ print 1 2 "a" "b" 3 }} {{ println 1 "a" }}', "1 2ab3 1 a\n"),
]

PRINTF = [
    ("%d %s %t %f", '1.0 1 2 "x"', "%!d(float64=1) %!s(int=1) %!t(int=2) %!f(string=x)"),
    (
        "%v %d %s %q %t %f %e %g %x %05d %-10s| %T",
        '1 2 "s" "q" true 1.5 1.5 1.5 255 42 "ab" .m',
        '1 2 s "q" true 1.500000 1.500000e+00 1.5 ff 00042 ab        | map[string]interface {}',
    ),
    (
        "%6.2f|%-8.3s|%+d|% d|%x|%X|%#x|%#o|%b|%c|%U|%q",
        '3.14159 "abcdef" 5 5 "hi" "hi" 255 8 5 65 65 65',
        "  3.14|abc     |+5| 5|6869|6869|0xff|010|101|A|U+0041|'A'",
    ),
    ("%#v %+v", ".m .m", 'map[string]interface {}{"j":2, "k":1} map[j:2 k:1]'),
    ("%*d|%-*d|%.*f", "5 1 5 1 2 3.14159", "    1|1    |3.14"),
    ("%[2]d %[1]d", "1 2", "2 1"),
    ("%[5]d", "1", "%!d(BADINDEX)"),
    ("%d", "1 2", "1%!(EXTRA int=2)"),
    ("%d %d", "1", "1 %!d(MISSING)"),
    ("%", "", "%!(NOVERB)"),
    ("%d", "nil", "%!d(<nil>)"),
    ("%d", ".arr", "[%!d(float64=1) %!d(float64=2) %!d(float64=3)]"),
    ("%08.3f|%+.2e|%g|%G", "3.14159 12345.678 1e100 1e-10", "0003.142|+1.23e+04|1e+100|1E-10"),
    ("%5t|%-7t|%5s|%.1s", 'true false "é" "éa"', " true|false  |    é|é"),
    ("%q %+q %x", r'"é\n" "é" "é"', r'"é\n" "\u00e9" c3a9'),
]


@pytest.mark.parametrize(("template", "want"), VALUES)
def test_values_print_as_in_go(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "want"), BLOCKS)
def test_blocks_and_variables_work_as_in_go(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "want"), SPACES)
def test_space_is_trimmed_as_in_go(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "want"), FUNCTIONS)
def test_the_functions_of_the_language_answer_as_in_go(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("form", "args", "want"), PRINTF)
def test_printf_formats_as_go_does(form: str, args: str, want: str) -> None:
    assert compile_template(f'{{{{ printf "{form}" {args} }}}}').render(DATA) == want


def test_numbers_of_the_data_are_floats_and_those_of_the_text_are_ints() -> None:
    template = compile_template("{{ kindOf .n }} {{ kindOf 50 }} {{ kindOf (int .n) }} {{ kindOf (add .n 1) }}")

    assert template.render(DATA) == "float64 int int int64"


def test_a_number_too_large_for_a_float_is_infinite_and_not_an_error() -> None:
    assert compile_template("{{ .x }} {{ int .x }}").render({"x": 10**400}) == "+Inf -9223372036854775808"


def test_one_template_renders_many_documents_and_keeps_nothing() -> None:
    template = compile_template("{{ $x := .a }}{{ $x }}{{ .b }}")

    assert [template.render({"a": n}) for n in range(3)] == ["0<no value>", "1<no value>", "2<no value>"]


def test_a_template_that_sets_keys_does_not_change_its_data() -> None:
    data: dict[str, Any] = {"m": {"a": {"b": 1}}}

    text = '{{ $_ := set .m "x" 2 }}{{ $_ := set .m.a "b" 3 }}{{ .m }}{{ $_ := unset .m "a" }}{{ .m }}'
    assert compile_template(text).render(data) == "map[a:map[b:3] x:2]map[x:2]"

    assert data == {"m": {"a": {"b": 1}}}
