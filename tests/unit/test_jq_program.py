"""`transform.jq`: what comes out, what is refused, and that no text and no data gets any further."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.errors import ConfigError
from retrain.expressions.jq_program import JqError, compile_jq
from retrain.expressions.sandbox import Sandbox, SandboxLimits


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    sandbox = Sandbox(SandboxLimits(deadline=0.2))
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize(
    ("program", "data", "want"),
    [
        (".body.message *= 2", '{"body":{"message":"ab"}}', '{"body":{"message":"abab"}}'),
        (".a += 1 | .b *= 2", '{"a":1,"b":"2"}', '{"a":2,"b":"22"}'),
        ("{a: .b}, {a: .c}", '{"b":1,"c":2}', '{"a":1}'),
        ("limit(1; repeat(.))", '{"b":1}', '{"b":1}'),
        (".", '{"b":1,"a":2}', '{"a":2,"b":1}'),
        (".", '{"a":1,"a":2}', '{"a":2}'),
        (".", '{"a":1.0,"b":1e3,"c":-2.5}', '{"a":1,"b":1000,"c":-2.5}'),
        (".", '{"a":12345678901234567890}', '{"a":12345678901234567000}'),
        (".", '{"a":9007199254740993}', '{"a":9007199254740992}'),
        (".", '{"a":1e21}', '{"a":1e+21}'),
        ("{a: nan, b: infinite}", "{}", '{"a":null,"b":1.7976931348623157e+308}'),
        ("{a: .a}", "null", '{"a":null}'),
        (".", '{"a":"é\\u0000\\ud83d\\ude00"}', '{"a":"é\\u0000😀"}'),
        ("# why\n{a: 1} # here", "{}", '{"a":1}'),
        ("def now: 5; {a: now}", "{}", '{"a":5}'),
        ("{a: (try now catch 1)}", "{}", '{"a":1}'),
        ('{a: (0 | strflocaltime("%H %Z"))}', "{}", '{"a":"00 UTC"}'),
        ("{a: env, b: $ENV, c: [inputs], d: input_filename}", "{}", '{"a":{},"b":{},"c":[],"d":null}'),
    ],
)
def test_the_first_output_is_the_new_data(box: Sandbox, program: str, data: str, want: str) -> None:
    assert compile_jq(program, box).transform(data) == want


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (".body[", "jq: line 1, column 6: syntax error, unexpected end of file"),
        ("{\n  a: .b[}\n", "jq: line 2, column 9: "),
        ("$nothing", "line 1, column 1: $nothing is not defined"),
        ("nothing(1)", "line 1, column 1: nothing/1 is not defined"),
        ("", "Top-level program not given"),
        ('import "a" as a; .', "modules are not available"),
        ('include "/etc/passwd"; .', "modules are not available"),
        ("module {}; .", "modules are not available"),
        ('. | import "/etc/passwd" as $d; .', "modules are not available"),
    ],
)
def test_what_is_no_program_is_refused_when_it_is_compiled(box: Sandbox, program: str, says: str) -> None:
    with pytest.raises(JqError) as error:
        compile_jq(program, box)

    assert says in str(error.value)


@pytest.mark.parametrize(
    ("program", "data", "says"),
    [
        (".body.l", '{"body":{"l":1}}', "jq transformation output must be a JSON object, not a number"),
        (".nope", "{}", "jq transformation output must be a JSON object, not null"),
        ("[.]", "{}", "not an array"),
        ('"x"', "{}", "not a string"),
        ("empty", "{}", "no output available from the jq command execution"),
        ('error("why")', "{}", "output must be a JSON object, and it failed: why"),
        (".a.b", '{"a":1}', "Cannot index number with"),
        ("now", "{}", "now is not available: the same event must give the same answer"),
        ("halt", "{}", "halt is not available"),
        ("{} | halt_error(1)", "{}", "halt_error is not available"),
        ("input", "{}", "input is not available"),
        ('"/etc/passwd" | modulemeta', "{}", "module not found"),
        (".", "[1]", "the event's data is not a JSON object"),
        (".", '"x"', "the event's data is not a JSON object"),
        (".", "{", "Unfinished JSON term"),
    ],
)
def test_what_gives_no_object_fails_with_a_reason(box: Sandbox, program: str, data: str, says: str) -> None:
    with pytest.raises(JqError) as error:
        compile_jq(program, box).transform(data)

    assert says in str(error.value)


def test_one_event_does_not_reach_into_the_next(box: Sandbox) -> None:
    program = compile_jq("if .halt then halt else first({a: .a}, error) end", box)

    for n in range(5):
        with pytest.raises(JqError):
            program.transform('{"halt": true}')
        assert json.loads(program.transform(f'{{"a": {n}}}')) == {"a": n}


PIECES = st.sampled_from(
    [*'.[]{}()|,:;?"$', "..", "if", "then", "end", "as $x", "$x", "import", "\\(", "try", "//=", "|="]
)
LEAVES = st.sampled_from(
    [
        *[
            ".",
            "..",
            ".a",
            ".a?",
            ".[]?",
            ".[0]?",
            "$ENV",
            "env",
            "input",
            "inputs",
            "halt",
            "now",
            "empty",
            "nan",
            "1e1000",
            "-1",
        ],
        *[
            "range(1e10)",
            "repeat(.)",
            "tojson",
            "fromjson",
            "@base64d",
            "@text",
            "path(..)",
            "splits(.)",
            "error",
            "keys",
            "add",
        ],
        *[
            "modulemeta",
            "input_line_number",
            "getpath([.])",
            "tojson * 1e3",
            "ltrimstr(.)",
            "(def f: f; f)",
            "(def f: 1 + f; f)",
        ],
        *[
            "limit(3; repeat(.))",
            "[limit(1e7; repeat(.))]",
            "test(.)",
            "strptime(.)",
            "mktime",
            "gsub(.; .)",
            "$__loc__",
        ],
        *[
            "implode",
            "explode",
            "walk(.)",
            "combinations",
            "ascii",
            "tostream",
            "halt_error",
            "significand",
            "min_by(.)",
        ],
    ]
)
PROGRAMS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["|", ",", "+", "*", "-", "/", "//", "==", "<", "and", "|="]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        inner.map(lambda one: f"[{one}]"),
        inner.map(lambda one: f"{{a: {one}}}"),
        inner.map(lambda one: f"(try {one} catch .)"),
        inner.map(lambda one: f'"\\({one})"'),
        st.tuples(inner, inner).map(lambda two: f"reduce {two[0]} as $x (.; {two[1]})"),
    ),
    max_leaves=6,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(
    text=PROGRAMS | st.lists(PIECES, max_size=8).map(" ".join) | st.text(), data=st.dictionaries(st.text("ab"), JSON)
)
def test_any_text_on_any_data_gives_an_object_or_a_plain_error(box: Sandbox, text: str, data: Any) -> None:
    with suppress(ConfigError):
        assert isinstance(json.loads(compile_jq(text, box).transform(json.dumps(data))), dict)


@settings(deadline=None)
@given(data=st.dictionaries(st.text(), JSON))
def test_what_goes_through_unchanged_is_the_same_but_for_float64(box: Sandbox, data: dict[str, Any]) -> None:
    out = json.loads(compile_jq(".", box).transform(json.dumps(data)), parse_int=float)

    assert out == json.loads(json.dumps(data), parse_int=float)
