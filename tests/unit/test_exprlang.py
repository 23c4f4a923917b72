"""expr-lang: literals, operators, members, predicates. Cases after upstream's documentation and its own tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.events import JsonValue
from retrain.expressions.exprlang import ExprError, compile_expr

ENV: dict[str, JsonValue] = {
    "one": 1,
    "two": 2,
    "half": 0.5,
    "text": "string",
    "nothing": None,
    "yes": True,
    "numbers": [1, 2, 3, 4, 5],
    "foo": {"value": "foo", "bar": {"baz": "baz"}, "my-x": "dashed", "not": 1},
    "foos": [{"value": "foo", "n": 3}, {"value": "bar", "n": 1}, {"value": "baz", "n": 2}],
}


def value_of(text: str) -> JsonValue:
    return compile_expr(text).evaluate(ENV)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1", 1),
        ("-.5", -0.5),
        ("1_000", 1000),
        ("0x2A + 0o52 + 0b101010", 126),
        ("1e3", 1000),
        ("010", 10),
        ("nil", None),
        ("'a\\tb\\x41\\u00e9\\u{1F600}\\101'", "a\tbAé😀A"),
        ('"it\'s"', "it's"),
        ("`raw \\n ``tick```", "raw \\n `tick`"),
        ("'two\nlines'", "two\nlines"),
        ("[1, 2, 3,]", [1, 2, 3]),
        ("{a: 1, 'b': 2, 3: 4, ('c' + 'd'): 5,}", {"a": 1, "b": 2, "3": 4, "cd": 5}),
        ("1 /* one */ + 2 // two", 3),
        ('b"\\xff"[0] + len(b"ÿ")', 257),
        ('string(b"ab")', "[97 98]"),
    ],
)
def test_literals(text: str, want: JsonValue) -> None:
    assert value_of(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1 + 2 * 3", 7),
        ("8 % 3", 2),
        ("-7 % 3", -1),
        ("7 / 2", 3.5),
        ("type(4 / 2)", "float"),
        ("type(4 * 2)", "int"),
        ("2 ** 8", 256),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ** 2", -4),
        ("-(2-5)**3-2/(+4-3)+-2", 23),
        ("10 - 2 - 3", 5),
        ("1.5 + 1", 2.5),
        ("9223372036854775807 + 1", -(2**63)),
        ("-9223372036854775807 - 2", 2**63 - 1),
        ("4611686018427387904 * 2", -(2**63)),
        ("'hello' + ' ' + 'world'", "hello world"),
        ("1 == 1.0", True),
        ("two == 'a'", False),
        ("yes == one", False),
        ("one == yes", False),
        ("nothing == nil", True),
        ("one == nil || text == nil || yes == nil", False),
        ("[1, {a: 2.0}] == [1.0, {a: 2}]", True),
        ("[true] == [1]", False),
        ("'a' < 'b' and 2 >= 2.0", True),
        ("1 < 2 < 3", True),
        ("1 < 2 < 3 > 4", False),
        ("1 < 2 < 3 == true", True),
        ("not yes or !false", True),
        ("not yes == false", True),
        ("false && (1 < 'a' + nothing)", False),
        ("yes || nothing.x", True),
        ("one > 2 ? 'a' : one > 0 ? 'b' : 'c'", "b"),
        ("yes ?: 5", True),
        ("nothing ?? 'default'", "default"),
        ("nothing ?? nothing ?? 3", 3),
        ("if one > 2 { 1 } else if yes { let x = 2; x } else { 3 }", 2),
        ("1; 2; 3", 3),
        ("let a = 1; let b = a + 1; a + b", 3),
        ("1 in [1.5] || 1 not in [1]", False),
        ("one in 0..1 && two not   in 0..1", True),
        ("'value' in foo && 'x' not in foo", True),
        ("text in ['a', 'string']", True),
        ("one in ['a', '1']", False),
        ("one in nothing", False),
        ("4..0", []),
        ("-1..1", [-1, 0, 1]),
        ("(0..10)[5]", 5),
        ("text matches '^s.+g$'", True),
        ("text matches ('^' + text + '$')", True),
        ("text not matches 'x'", True),
        ("nothing matches 'x'", False),
        ("text contains 'rin' and text startsWith 'str' and text endsWith 'ing'", True),
        ("nothing contains 'x' or nothing startsWith 'x' or text endsWith nothing", False),
        ("-5 | abs() | string()", "5"),
        ("text | upper() | split('I')", ["STR", "NG"]),
        ("nothing ?? text | len()", 6),
        ("'a' + 'b' | len()", 2),
        ("::len(text)", 6),
    ],
)
def test_operators(text: str, want: JsonValue) -> None:
    got = value_of(text)

    assert got == want
    assert type(got) is type(want) or isinstance(got, int | float)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("foo.bar.baz", "baz"),
        ("foo['bar']['baz']", "baz"),
        ("foo['my-x']", "dashed"),
        ("foo.not", 1),
        ("foo.nope", None),
        ("foo?.nope?.deeper", None),
        ("nothing?.a.b.c", None),
        ("nothing?.a.b ?? 'x'", "x"),
        ("nothing?.f()", None),
        ("nothing?.[0]", None),
        ("[[1, 2], 3]?.[0]?.[1]", 2),
        ("[nil, 3]?.[0]?.[1]", None),
        ("$env.foo.value", "foo"),
        ("$env['two']", 2),
        ("$env?.nope", None),
        ("'foo' in $env and 'nope' not in $env", True),
        ("numbers[-1] + numbers[0]", 6),
        ("numbers[1:4]", [2, 3, 4]),
        ("numbers[1:-1]", [2, 3, 4]),
        ("numbers[:3]", [1, 2, 3]),
        ("numbers[3:]", [4, 5]),
        ("numbers[:] == numbers", True),
        ("numbers[4:99]", [5]),
        ("numbers[7:9]", []),
        ("text[:3] + text[3:9]", "string"),
        ("'héllo'[1:3]", "é"),
        ("'abc'[0]", 97),
        ("foos[1].value", "bar"),
        ("{a: {b: 1}}.a.b", 1),
        ("(yes ? foo : nil).value", "foo"),
        ("numbers.__class__ ?? 1", None),
    ],
)
def test_members(text: str, want: JsonValue) -> None:
    if text.startswith("numbers.__"):
        with pytest.raises(ExprError, match="cannot fetch __class__"):
            value_of(text)
    else:
        assert value_of(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("filter(1..9, {# > 7})", [8, 9]),
        ("filter(foos, .n > 1 && .value startsWith 'b')", [{"value": "baz", "n": 2}]),
        ("map(1..3, # * #)", [1, 4, 9]),
        ("map(foos, .value)", ["foo", "bar", "baz"]),
        ("map(foos, {{v: .value, at: #index}})[2]", {"v": "baz", "at": 2}),
        ("map(1..2, let x = #; map(2..3, let y = #; x + y))", [[3, 4], [4, 5]]),
        ("map(1..2, {map(1..2, #)})", [[1, 2], [1, 2]]),
        ("all(1..3, # > 0) and all([], false)", True),
        ("any(foos, .n == 1) and not any([], true)", True),
        ("none(foos, .n == 9) and none([], true)", True),
        ("one(foos, .n == 1)", True),
        ("one(foos, .n > 0)", False),
        ("count(1..30, # % 3 == 0)", 10),
        ("count([true, true, false])", 2),
        ("sum(numbers)", 15),
        ("sum(foos, .n)", 6),
        ("sum([1, .5])", 1.5),
        ("find(foos, .n < 3).value", "bar"),
        ("find(foos, .n > 9)", None),
        ("findIndex(foos, .n < 3)", 1),
        ("findIndex(foos, .n > 9)", None),
        ("findLast(1..9, # % 2 == 0)", 8),
        ("findLastIndex(1..9, # % 2 == 0)", 7),
        ("groupBy(1..4, # % 2)[0]", [2, 4]),
        ("groupBy(1..3, # > 1)[true]", [2, 3]),
        ("len(groupBy([1, 1.0, true, '1', nil], #))", 5),
        ("groupBy(foos, .value).bar[0].n", 1),
        ("countBy(1..4, string(# > 1))", {"false": 1, "true": 3}),
        ("sortBy(foos, .n) | map(.value)", ["bar", "baz", "foo"]),
        ("sortBy(foos, .value, 'desc') | map(.n)", [3, 2, 1]),
        ("reduce(1..9, # + #acc)", 45),
        ("reduce(1..9, #acc + #, 5)", 50),
        ("reduce([], # + #acc, 42)", 42),
        ("reduce(1..3, #acc + #index, 0)", 3),
        ("numbers | filter(# % 2 == 1) | map(# * 2) | sum()", 18),
        ("filter(foos, {let f = #; any(numbers, # == f.n + 3)}) | map(.value)", ["bar", "baz"]),
    ],
)
def test_predicates(text: str, want: JsonValue) -> None:
    assert value_of(text) == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "unexpected end of expression"),
        ("1 +", "unexpected end of expression at 1:4"),
        ("foo.bar )", "unexpected token ')' at 1:9"),
        ("a\n  = 1", "unexpected token '=' at 2:3"),
        ("'abc", "literal not terminated at 1:1"),
        ("'\\q'", "invalid char escape"),
        ("/* a", "unclosed comment"),
        ("1a", "bad number syntax"),
        ("9223372036854775808", "integer literal is too large"),
        ("a § b", "unrecognized character '§'"),
        ("a ?? b || c", "cannot be mixed"),
        ("filter(numbers)", "filter takes at least 2 arguments"),
        ("filter(numbers, true, 1)", "filter takes at most 2 arguments"),
        ("map(numbers, 1; 2)", "wrap the predicate in { and }"),
        ("#", "unexpected token '#'"),
        ("map(numbers, #other)", "unknown pointer #other"),
        ("len()", "invalid number of arguments (expected 1, got 0)"),
        ("replace('a', 'b')", "expected 3 to 4, got 2"),
        ("uper('a')", "unknown function uper; did you mean upper?"),
        ("text matches '['", "error parsing regexp"),
        ("1 == 'a'", "mismatched types number and string"),
        ("len(text) != '6'", "mismatched types number and string"),
        ("-'a'", "invalid operation: - string"),
        ("let len = 1; len", "cannot redeclare len"),
        ("let a = 1; let a = 2; a", "cannot redeclare variable a"),
        ("{[1]: 2}", "a key is a name"),
        ("not", "unexpected end of expression"),
        ("1 not 2", "expected in, matches"),
    ],
)
def test_text_that_is_no_expression_says_what_and_where(text: str, says: str) -> None:
    with pytest.raises(ExprError) as error:
        compile_expr(text)

    assert says in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nope == 1", "unknown name nope; there are: foo, foos, half"),
        ("nope ?? 1", "unknown name nope"),
        ("foo.nope.deeper", "cannot fetch deeper from nil at 1:10"),
        ("text.value", "cannot fetch value from string"),
        ("one.value", "cannot fetch value from int"),
        ("numbers[9]", "index out of range: 9 (array length is 5)"),
        ("numbers[-7]", "index out of range: -2 (array length is 5)"),
        ("filter(1..9, # > 9)[0]", "index out of range"),
        ("foo[1]", "cannot use int as a key of a map"),
        ("one + text", "invalid operation: int + string at 1:5"),
        ("text < 1", "invalid operation: string < int"),
        ("nothing > 1", "invalid operation: nil > int"),
        ("half % 2", "invalid operation: float64 % int"),
        ("one % 0", "integer divide by zero"),
        ("one in text", 'operator "in" not defined on string'),
        ("one matches 'x'", "invalid operation: int matches string"),
        ("!one", "the operand of not must be a bool, not int"),
        ("one && yes", "an operand of && must be a bool, not int"),
        ("text || yes", "an operand of || must be a bool, not string"),
        ("nothing ? 1 : 2", "a condition must be a bool, not nil"),
        ("filter(numbers, #)", "a predicate must be a bool, not int"),
        ("map(foo, 1)", "cannot go through map"),
        ("map(nothing, 1)", "cannot go through nil"),
        ("reduce(10..1, # + #acc)", "reduce of empty array with no initial value at 1:1"),
        ("sortBy(foos, .n, 'up')", "invalid order 'up', expected asc or desc"),
        ("sort([1, 'a'])", "invalid operation: int < string"),
        ("groupBy(foos, #)", "is not comparable"),
        ("one / 0", "the result is +Inf"),
        ("foo.value()", "has no method value"),
        ("toJson", "the result is a func"),
        ("{(one): 2}", "a key of a map must be a text, not int"),
    ],
)
def test_values_that_do_not_fit_say_so_with_the_place(text: str, says: str) -> None:
    expression = compile_expr(text)

    with pytest.raises(ExprError) as error:
        expression.evaluate(ENV)

    assert says in str(error.value)
    assert " at 1:" in str(error.value) or "the result is" in says


def test_names_are_those_that_the_environment_must_have() -> None:
    expression = compile_expr(
        "let x = a.b; map(c, .d + x + #index) | len() > len(e['f-g']) ? sum(h) : $env.i?.j ?? toJson(k.l)"
    )

    assert expression.names == ("a", "c", "e", "h", "k")


def test_functions_that_are_given_replace_argos() -> None:
    functions = {"double": lambda x: x * 2, "len": lambda _: -1, "math": {"plus": lambda x, y: x + y}}

    assert compile_expr("double(4) + math.plus(1, 2) + len('abc')", functions).evaluate({}) == 10
    assert compile_expr("::len('abc')", functions).evaluate({}) == 3
    with pytest.raises(ExprError, match="unknown function toJson"):
        compile_expr("toJson(1)", functions)
    with pytest.raises(ExprError, match=r"unknown function math\.plu; did you mean plus\?"):
        compile_expr("math.plu(1)", functions)
    with pytest.raises(ExprError, match="double: unsupported operand"):
        compile_expr("double(nil)", functions).evaluate({})


def test_whole_numbers_of_json_can_be_floats_as_in_go() -> None:
    env: dict[str, JsonValue] = {"body": {"n": 1000000, "list": [1, 2]}}

    assert compile_expr("type(body.n) + string(body.n)").evaluate(env) == "int1000000"
    assert compile_expr("type(body.n) + string(body.n)", json_numbers=True).evaluate(env) == "float1e+06"
    assert compile_expr("map(body.list, type(#)) == ['float', 'float']", json_numbers=True).evaluate(env) is True
    with pytest.raises(ExprError, match="float64 % int"):
        compile_expr("body.n % 2", json_numbers=True).evaluate(env)


def test_results_are_json_with_whole_floats_as_ints() -> None:
    got = compile_expr("[4 / 2, 1e21, 0.5, duration('1s'), date('2024-01-02'), b'ab', groupBy([1], #)]").evaluate({})

    assert got == [2, 1e21, 0.5, 10**9, "2024-01-02T00:00:00Z", "YWI=", {"1": [1]}]
    assert type(got) is list
    assert [type(item) for item in got[:3]] == [int, float, float]


def test_ints_that_no_int64_holds_count_as_floats() -> None:
    env: dict[str, JsonValue] = {"big": 10**30, "huge": 10**400}

    assert compile_expr("big + 1 > 9e29 && big * 2 == 2e30").evaluate(env) is True
    assert compile_expr("big == 1e30").evaluate(env) is True
    with pytest.raises(ExprError, match=r"\+Inf"):
        compile_expr("huge * 2").evaluate(env)
    with pytest.raises(ExprError, match="no int64 holds"):
        compile_expr("int(1e300)").evaluate({})


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_ints_wrap_around_as_int64(a: int, b: int) -> None:
    env: dict[str, JsonValue] = {"a": a, "b": b}

    for op, exact in (("+", a + b), ("-", a - b), ("*", a * b)):
        got = compile_expr(f"a {op} b").evaluate(env)
        assert isinstance(got, int)
        assert -(2**63) <= got < 2**63
        assert (got - exact) % 2**64 == 0


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1).filter(bool))
def test_the_rest_of_a_division_has_the_sign_of_what_was_divided(a: int, b: int) -> None:
    got = compile_expr("a % b").evaluate({"a": a, "b": b})

    assert isinstance(got, int)
    assert got == 0 or (got < 0) == (a < 0)
    assert (a - got) % b == 0
    assert abs(got) < abs(b)
