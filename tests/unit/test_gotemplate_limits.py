"""No template crashes us, hangs us, eats the memory or sees what it was not given."""

from __future__ import annotations

import string
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.expressions import sprig
from retrain.expressions.gotemplate import TemplateError, compile_template
from retrain.expressions.template.builtins import BUILTINS

NOW = datetime(2026, 11, 20, 10, 11, 12, tzinfo=UTC)
DOUBLING = "{{ $l := list 1 }}{{ range until 60 }}{{ $l = list $l $l }}{{ end }}"
ITSELF = '{{ $d := dict }}{{ $_ := set $d "a" $d }}'

GREEDY = [
    "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}",
    '{{ repeat 1000000000 "a" }}',
    '{{ repeat 4000000 "a" }}',
    "{{ until 1000000000 }}",
    "{{ seq 1000000000 }}",
    '{{ indent 1000000 "\\n\\n\\n\\n\\n\\n" }}',
    '{{ replace "" (repeat 10000 "a") (repeat 10000 "b") }}',
    '{{ regexReplaceAll "" (repeat 10000 "a") (repeat 10000 "b") }}',
    '{{ join (repeat 10000 "a") (until 10000) }}',
    '{{ printf "%1000000d%1000000d%1000000d%1000000d%1000000d" 1 1 1 1 1 }}',
    "{{ randAlpha 1000000000 }}",
    '{{ $s := "a" }}{{ range until 100 }}{{ $s = print $s $s }}{{ end }}',
    "{{ $l := list }}{{ range until 100000 }}{{ $l = append $l . }}{{ end }}",
    DOUBLING + "{{ $l }}",
    DOUBLING + "{{ toJson $l }}",
    DOUBLING + "{{ deepEqual $l $l }}",
    DOUBLING + "{{ $x := deepCopy $l }}",
    ITSELF + "{{ $d }}",
    ITSELF + "{{ toJson $d }}",
    ITSELF + '{{ printf "%#v" $d }}',
    ITSELF + "{{ deepCopy $d }}",
    ITSELF + "{{ merge $d (deepCopy (dict 1 2)) $d $d }}{{ $d }}",
    '{{ define "a" }}{{ template "a" }}{{ end }}{{ template "a" }}',
    '{{ define "a" }}{{ range until 10 }}{{ template "a" }}{{ end }}{{ end }}{{ template "a" }}',
    '{{ define "a" }}' + "{{ if true }}" * 40 + '{{ template "a" }}' + "{{ end }}" * 40 + '{{ end }}{{ template "a" }}',
    "{{ .deep }}",
    "{{ toJson .deep }}",
    "{{ mustFromJson (repeat 100000 `[`) }}",
    '{{ mustRegexMatch "((((a{100}){100}){100}){100})" "a" }}',
    '{{ date "2006" (int64 9223372036854775807) }}',
    '{{ dateModify "2562047h" (toDate "2006" "9999") }}',
]

TOO_DEEP = [
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ if 1 }}" * 5000 + "{{ end }}" * 5000,
    "x" * (64 * 1024 + 1),
]

PYTHON = [
    "{{ .__class__ }}",
    "{{ .x.__class__.__mro__ }}",
    "{{ .s.upper }}",
    "{{ .s.format }}",
    "{{ (upper .s).join }}",
    "{{ now.__class__ }}",
    "{{ now.tzinfo }}",
    "{{ now.year }}",
    '{{ (semver "1.2.3").major }}',
    '{{ (semver "1.2.3").__init__ }}',
    "{{ (list 1).append }}",
    "{{ $.items }}",
    "{{ printf.call }}",
]


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


DATA: dict[str, Any] = {
    "s": "a b",
    "n": 5,
    "f": 1.5,
    "z": None,
    "t": True,
    "l": [1, "a", None, [2]],
    "m": {"k": 1, "é": {"x": []}},
    "x": {"a": "b"},
    "deep": _deep(500),
}


def _render(text: str) -> str | None:
    """What comes out, or None where it is refused; anything but a TemplateError goes through."""
    try:
        return compile_template(text).render(DATA, now=NOW, seed="s")
    except TemplateError:
        return None


@pytest.mark.parametrize("template", GREEDY, ids=[str(at) for at in range(len(GREEDY))])
def test_what_asks_for_too_much_is_refused(template: str) -> None:
    compiled = compile_template(template)

    with pytest.raises(TemplateError):
        compiled.render(DATA)


@pytest.mark.parametrize("template", TOO_DEEP, ids=[str(at) for at in range(len(TOO_DEEP))])
def test_texts_that_are_too_long_or_too_deep_are_refused(template: str) -> None:
    with pytest.raises(TemplateError, match=r"nested|characters"):
        compile_template(template)


def test_long_pipelines_and_chains_are_no_problem() -> None:
    assert compile_template("{{ 1" + " | print" * 5000 + " }}").render({}) == "1"
    assert compile_template("{{ " + ".a" * 20000 + " }}").render({}) == "<no value>"
    assert compile_template("{{ if 0 }}" + "{{ else if 0 }}" * 2000 + "{{ else }}x{{ end }}").render({}) == "x"


@pytest.mark.parametrize("template", PYTHON)
def test_nothing_of_python_can_be_reached(template: str) -> None:
    assert _render(template) in (None, "<no value>")


def test_the_result_of_a_limit_is_never_an_empty_text() -> None:
    """Sprig forgets errors of toJson; ours forgets none that is a limit."""
    with pytest.raises(TemplateError, match="nested deeper"):
        compile_template("{{ toJson .deep }}").render(DATA)


# --- chance and time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(sprig.NEEDS_SURROUNDINGS - {"shuffle"}))
def test_time_and_chance_come_from_outside_only(name: str) -> None:
    args = {"randInt": "1 1000000000", "now": "", "uuidv4": "", "ago": "now", "durationRound": "now"}.get(name, "20")
    args = {"date": '"15:04:05" "now"', "htmlDate": '""', "htmlDateInZone": '"" "UTC"'}.get(name, args)
    args = '"15:04:05" "" "UTC"' if name in ("dateInZone", "date_in_zone") else args
    template = compile_template(f"{{{{ {name} {args} }}}}")

    first = template.render({}, now=NOW, seed="a")
    assert template.render({}, now=NOW, seed="a") == first
    others = {template.render({}, now=NOW + timedelta(days=n), seed=f"b{n}") for n in range(3)}
    assert len(others) > 1 or name in ("ago", "durationRound", "date", "dateInZone", "date_in_zone")


def test_each_throw_of_the_dice_differs_within_a_rendering() -> None:
    first, second = compile_template("{{ uuidv4 }} {{ uuidv4 }}").render({}, seed="x").split()

    assert first != second


# --- random texts ---------------------------------------------------------------------------------------------------

_PIECES = [
    *("{{", "}}", "{{-", " -}}", "if ", "else ", "end", "range ", "with ", "define ", "template ", "block ", "break"),
    *("continue", "nil", "true", "$x", ":=", "=", "|", "(", ")", ".a", ".", '"x"', "`y`", "'z'", "1", "1.5", "0x"),
    *("$", ",", "upper ", "printf ", " ", "\n", "{{/*", "*/}}", ".s", ".l", ".m", "$i", "eq ", "\\", "é", "{{ end }}"),
    *("{{ else }}", "{{ if .t }}", "{{ range .l }}", "{{ with .m }}", "{{ . }}", "{{ $x := 1 }}", "{{ $x }}"),
]
_ARGS = st.sampled_from(
    [
        *("1", "0", "-1", "3", "1.5", '"a"', '""', '"a,b"', '"%v %d"', '"[a-z]*"', "nil", "true", ".s", ".n", ".f"),
        *(".z", ".t", ".l", ".m", ".m.k", ".nope", ".", "$", '"1.2.3"', '"2006-01-02"', '"1h"', '"é"', "(list 1 .l)"),
        *('(dict "a" .m)', "now", "9223372036854775807", "1e308", ".deep", '"aGk="', '"http://u@h/p?q#f"'),
    ]
)
_CALLS = st.builds(
    lambda name, args, rest: f"{{{{ {name} {' '.join(args)}{rest} }}}}",
    st.sampled_from(sorted({*sprig.FUNCTIONS, *BUILTINS, "and", "or"})),
    st.lists(_ARGS, max_size=4),
    st.sampled_from(["", " | print", " | toJson", " | len", " | first", " | upper", ".k", " | set .m .s"]),
)


@given(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join))
@settings(max_examples=150, deadline=None)
def test_random_pieces_of_templates_render_or_are_refused(text: str) -> None:
    _render(text)


@given(st.text(max_size=60).map(lambda text: "{{" + text + "}}") | st.text(string.printable, max_size=60))
@settings(max_examples=100, deadline=None)
def test_random_texts_render_or_are_refused(text: str) -> None:
    _render(text)


@given(_CALLS)
@settings(max_examples=400, deadline=None)
def test_every_function_takes_any_arguments_or_refuses_them(text: str) -> None:
    _render(text)


_VERBS = st.from_regex(
    r"%[+\-# 0]{0,2}(\[[0-9x]{1,2}\])?([0-9]{1,2}|\*)?(\.([0-9]{0,2}|\*))?[a-zA-Z%!é]", fullmatch=True
)


@given(st.lists(_VERBS, max_size=3).map("".join), st.lists(_ARGS, max_size=4))
@settings(max_examples=150, deadline=None)
def test_every_format_prints_something_or_is_refused(form: str, args: list[str]) -> None:
    _render(f"{{{{ printf `{form}` {' '.join(args)} }}}}")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
@settings(max_examples=100, deadline=None)
def test_any_data_can_be_printed_compared_and_copied(data: Any) -> None:
    text = '{{ . }}{{ printf "%#v %q %x" . . . }}{{ toJson . }}{{ deepEqual . (deepCopy .) }}{{ kindOf . }}'

    compile_template(text).render(data).encode()


# --- calls from another language ------------------------------------------------------------------------------------


def test_functions_can_be_called_with_plain_values() -> None:
    call = sprig.FUNCTIONS

    assert call["upper"]("a") == "A"
    assert call["trunc"](2, "abc") == "ab"
    assert call["add"](1, 2) == 3
    assert call["toString"](1000000) == "1000000"
    assert call["kindOf"]([1][0]) == "int"
    assert call["toJson"]({"a": [1, 1.0, None]}) == '{"a":[1,1,null]}'
    assert call["round"](2.5, 0) == 3.0
    assert call["date"]("2006", call["now"](around=sprig.Surroundings(now=NOW)), around=sprig.Surroundings()) == "2026"
    assert len(call["uuidv4"](around=sprig.Surroundings(seed="x"))) == 36


@given(st.sampled_from(sorted(sprig.FUNCTIONS)), st.lists(_JSON, max_size=4))
@settings(max_examples=400, deadline=None)
def test_functions_called_with_any_values_answer_or_refuse(name: str, args: list[Any]) -> None:
    function = sprig.FUNCTIONS[name]
    with suppress(TemplateError):
        function(*args[: len(function.params)] if function.rest is None else args, around=sprig.Surroundings(now=NOW))


def test_functions_called_with_wrong_arguments_say_so() -> None:
    with pytest.raises(TemplateError, match="want 1 got 2"):
        sprig.FUNCTIONS["upper"]("a", "b")
    with pytest.raises(TemplateError, match="expected string; got int"):
        sprig.FUNCTIONS["upper"](1)
    with pytest.raises(TemplateError, match="the time is not known"):
        sprig.FUNCTIONS["now"]()
