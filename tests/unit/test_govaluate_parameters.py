"""govaluate with parameters: the `exprs` of Argo Events' filters."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.expressions.govaluate import ExpressionError, compile_govaluate, evaluate

VALUES: dict[str, Any] = {
    "a": "closed",
    "n": 50,
    "f": 3.5,
    "t": True,
    "z": None,
    "d": "2024-05-05",
    "arr": [1, 2, "x"],
    "obj": {"a": 1, "b": [True, None]},
    "big": 12345678901234567890,
    "my-name": "dashed",
    "with space": 1,
    "a.B": "dotted",
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('a == "closed" && n > 10', True),
        ("a =~ '^clo'", True),
        ("a !~ '^clo'", False),
        ("a =~ 'ose'", True),
        ("a =~ ('^' + 'clo')", True),
        ("t", True),
        ("!t", False),
        ("a in ('open', 'closed')", True),
        ("a IN ('open', 'x')", False),
        ("n in (1, 50)", True),
        ("'x' in arr", True),
        ("n in arr", False),
        ("1 in arr", True),
        ("t in arr", False),
        ("arr == (1, 2, 'x')", True),
        ("arr in (1, arr)", True),
        ("(arr, 4) == (1, 2, 'x', 4)", True),
        ("obj == obj", True),
        ("obj != obj", False),
        ("n % 7 == 1", True),
        ("n == 50", True),
        ("n == '50'", False),
        ("t == 'True'", False),
        ("a == 1", False),
        ("z ?? 'd' == 'd'", True),
        ("(z ?? 'd') == 'd'", True),
        ("n ?? 1", 50.0),
        ("z == z", True),
        ("n > 40 ? 'big' : 'small'", "big"),
        ("n > 60 ? 'big' : 'small'", "small"),
        ("n + 1", 51.0),
        ("f * 2", 7.0),
        ("n / 0", math.inf),
        ("-n", -50.0),
        ("~n", -51.0),
        ("2 ** 10", 1024.0),
        ("n >> 1", 25.0),
        ("n << 2", 200.0),
        ("1 << 64", 0.0),
        ("1 << (0 - 1)", 0.0),
        ("(0 - 1) >> 63", 1.0),
        ("n & 15", 2.0),
        ("n | 1", 51.0),
        ("n ^ 3", 49.0),
        ("a + 'x' == 'closedx'", True),
        ("a + n", "closed50"),
        ("'' + f + t + z + arr + obj", "3.5true<nil>[1 2 x]map[a:1 b:[true <nil>]]"),
        ("'' + 1000000 + '|' + 2.5e", None),
        ("big == 12345678901234567890", True),
        ("'' + big", "1.2345678901234567e+19"),
        (
            "'' + 999999 + ' ' + 1000000 + ' ' + 1234567.5 + ' ' + 0.00001 + ' ' + -0",
            "999999 1e+06 1.2345675e+06 1e-05 -0",
        ),
        ("[my-name] == 'dashed'", True),
        ("my\\-name == 'dashed'", True),
        ("[with space] == 1", True),
        ("[a.B] == 'dotted'", True),
        ("n in (1,-1, 50)", True),
        ("(1, 2)", [1.0, 2.0]),
        (".5 + .5", 1.0),
        ("'2024-05-05' < '2024-05-06'", True),
        ("'2024-05-05T00:00:00Z' == '2024-05-05'", True),
        ("d == '2024-05-05'", False),
        ("a < 'd'", True),
        ("a < 'b'", False),
        ("true || nothing", True),
        ("false && nothing", False),
        ("t ? n : nothing", 50.0),
    ],
)
def test_expressions_come_out_as_in_go(text: str, want: object) -> None:
    if want is None:
        with pytest.raises(ExpressionError):
            compile_govaluate(text)
        return

    assert compile_govaluate(text).evaluate(VALUES) == want
    assert type(compile_govaluate(text).evaluate(VALUES)) is type(want)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a ==", "offset 4: Unexpected end of expression"),
        ("", "offset 0: Unexpected end of expression"),
        ("a = b", "offset 2: Invalid token: '='"),
        ("a == 'x", "offset 5: Unclosed string literal"),
        ("[a == 1", "offset 0: Unclosed parameter bracket"),
        ("(a == 1", "Unbalanced parenthesis"),
        ("a == 1)", "offset 6: Unbalanced parenthesis"),
        ("a b", "offset 2: Cannot transition token types from VARIABLE [a] to VARIABLE [b]"),
        ("len(a) > 1", "offset 0: Undefined function len"),
        ("a.b == 1", "Unable to access unexported field 'b' in token 'a.b'"),
        ("a.Name == 1", "No parameter 'a' found"),
        ("a. == 1", "Hanging accessor on token 'a.'"),
        ("a =~ '('", "Unable to compile regexp pattern '('"),
        ("a =~ '(?<=x)y'", "Unable to compile regexp pattern"),
        ("1.2.3 == a", "offset 0: Unable to parse numeric value '1.2.3' to float64"),
        ("१ == a", "Unable to parse numeric value"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(ExpressionError) as error:
        compile_govaluate(text)

    assert says in str(error.value)
    assert error.value.at is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q == 1", "No parameter 'q' found."),
        ("z == nil", "No parameter 'nil' found. (there is no nil here"),
        ("d > '2020-01-01'", "Value '2024-05-05' cannot be used with the comparator '>', it is not a number"),
        ("n > 'x'", "cannot be used with the comparator '>', it is not a number"),
        ("z > 1", "Value '<nil>' cannot be used with the comparator '>'"),
        ("t > 1", "Value 'true' cannot be used with the comparator '>'"),
        ("a - 1", "Value 'closed' cannot be used with the modifier '-', it is not a number"),
        ("arr + 1", "Value '[1 2 x]' cannot be used with the modifier '+'"),
        ("n && t", "Value '50' cannot be used with the logical operator '&&', it is not a bool"),
        ("t && n", "Value '50' cannot be used with the logical operator '&&', it is not a bool"),
        ("n ? 1 : 2", "cannot be used with the ternary operator '?', it is not a bool"),
        ("!n", "cannot be used with the prefix '!'"),
        ("-a", "cannot be used with the prefix '-'"),
        ("n =~ '5'", "cannot be used with the comparator '=~', it is not a string"),
        ("a =~ ('(' + '')", "Unable to compile regexp pattern '('"),
        ("a in n", "it is not an array"),
        ("a in obj", "it is not an array"),
    ],
)
def test_what_does_not_fit_fails_in_upstreams_words(text: str, says: str) -> None:
    expression = compile_govaluate(text)

    with pytest.raises(ExpressionError) as error:
        expression.evaluate(VALUES)

    assert says in str(error.value)


def test_names_are_those_of_the_parameters_each_once_and_in_order() -> None:
    expression = compile_govaluate("b == 'x' && [my-name] > a || b in (a, [c d], true)")

    assert expression.names == ("b", "my-name", "a", "c d")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400),
        ("2026-11-20 10:00", 1795168800),
        ("2026-11-20 1:02", 1795136520),
        ("2026-11-20 10:00:01", 1795168801),
        ("2026-11-20 10:00:01.9", 1795168801),
        ("2026-11-20 10:00:01+01:00", 1795165201),
        ("2026-11-20T10Z", 1795168800),
        ("2026-11-20T10:00-0100", 1795172400),
        ("2026-11-20T10:00:01Z", 1795168801),
        ("2026-11-20T10:00:01.123456789Z", 1795168801),
        ("2026-11-20T10:00:01+0100", 1795165201),
        ("2026-11-20T10:00:01+01:00", 1795165201),
        ("Fri Nov 20 10:00:01 2026", 1795168801),
        ("Sat Nov  7 10:00:01 2026", 1794045601),
        ("Fri Nov 20 10:00:01 UTC 2026", 1795168801),
        ("Fri Nov 20 10:00:01 -0100 2026", 1795172401),
        ("3:04PM", -62167219200 + 15 * 3600 + 4 * 60),  # year 0, as Go counts
    ],
)
def test_a_text_that_go_takes_for_a_date_is_a_number(text: str, seconds: int) -> None:
    assert compile_govaluate(f"'{text}' + 0").evaluate({}) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2026-1-5",
        "2026-13-01",
        "2026-02-30",
        "26-11-20",
        "2026-11-20T10:00",
        "2026-11-20T10+01:00",
        "2026-11-20 10",
        "10:00",
        "2026-11-20 25:00",
        "a-b-c",
        "2026-11-20Z",
        "13:00PM",
        "२०२६-११-२०",
        "2026-11-20 10:00:00Z",
    ],
)
def test_a_text_that_go_does_not_take_for_a_date_stays_a_text(text: str) -> None:
    assert compile_govaluate(f"'{text}' + ''").evaluate({}) == text


def test_long_chains_cost_what_they_are_long() -> None:
    """Each operand is evaluated once: or else 150 of them would take for ever."""
    assert evaluate(" && ".join(["true"] * 150)) is True
    assert evaluate(" || ".join(["false"] * 150)) is False
    assert compile_govaluate(" ?? ".join(["z"] * 150)).evaluate({"z": None}) is None


def test_values_that_are_nested_too_deep_are_an_error_and_no_crash() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    for text in ("a == b", "'' + a"):
        with pytest.raises(ExpressionError, match="nested too deep"):
            compile_govaluate(text).evaluate({"a": deep, "b": [*deep]})


def test_a_number_that_float64_cannot_hold_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="too large for float64"):
        compile_govaluate("a > 1").evaluate({"a": 10**400})


PIECES = st.sampled_from(
    [
        *"()[],?:!~-+*/%&|^<>'\"",
        *VALUES,
        "[my-name]",
        "1",
        "2.5",
        "0x1f",
        "'x'",
        "'^a'",
        "'2026-11-20'",
        "true",
        "==",
        "!=",
        "<=",
        ">=",
        "&&",
        "||",
        "??",
        "=~",
        "!~",
        "in",
        "**",
        "<<",
        ">>",
        "nil",
        "a.b",
        "\\",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(
    text=st.lists(PIECES, max_size=12).map(" ".join) | st.lists(PIECES, max_size=12).map("".join) | st.text(),
    values=st.fixed_dictionaries(dict.fromkeys(VALUES, JSON)),
)
def test_any_text_on_any_values_gives_a_value_or_an_expression_error(text: str, values: dict[str, Any]) -> None:
    with suppress(ExpressionError):
        value = compile_govaluate(text).evaluate(values)
        assert value is None or isinstance(value, bool | float | str | list | dict)


@settings(deadline=None)
@given(value=JSON)
def test_a_value_equals_itself_and_nothing_of_another_type(value: Any) -> None:
    same = compile_govaluate("a == b")

    assert same.evaluate({"a": value, "b": value}) is True
    assert same.evaluate({"a": value, "b": [value]}) is False
    assert same.evaluate({"a": value, "b": {"a": value}}) is False
