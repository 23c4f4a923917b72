"""The language of `when`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.expressions.govaluate import ExpressionError, evaluate


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", True),
        ("foo == foo", True),
        ("'it''s' == x", None),
        ("0.91 > 0.90", True),
        ("10 > 9", True),
        ("'10' > '9'", False),
        ("1 == '1'", False),
        ("1 != '1'", True),
        ("true && !false", True),
        ("heads =~ '^he'", True),
        ("heads !~ '^he'", False),
        ("Failed in (Failed, Error)", True),
        ("3 in (1, 2, 3)", True),
        ("2 ** 3 == 8", True),
        ("7 % 4 == 3", True),
        ("1 + 2 * 3 == 7", True),
        ("-1 < 0", True),
        ("10 - 2 - 3 == 5", True),
        ("0x10 == 16", True),
        ("a + 1 == 'a1'", True),
        ("1 > 2 ? false : true", True),
        ("'2026-11-20' < '2026-11-21'", True),
        ("'2026-11-20T00:00:00Z' == '2026-11-20'", True),
        ("[my-value] == 'my-value'", True),
        ("'a\\'b' == \"a'b\"", True),
        ("false && (1 < a)", False),
        ("true || (1 < a)", True),
    ],
)
def test_conditions_come_out_as_in_go(text: str, want: bool | None) -> None:
    if want is None:
        with pytest.raises(ExpressionError):
            evaluate(text)
    else:
        assert evaluate(text) is want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = b", "Invalid token: '='"),
        ("{{item}} == 1", "Invalid token"),
        ("my-app == x", "cannot be used with the modifier '-', it is not a number"),
        ("1 < a", "cannot be used with the comparator '<', it is not a number"),
        ("a && true", "cannot be used with the logical operator '&&', it is not a bool"),
        ("'open", "Unclosed string literal"),
        ("(a == b", "Unbalanced parenthesis"),
        ("a == b)", "Unbalanced parenthesis"),
        ("a b", "Cannot transition token types from VARIABLE [a] to VARIABLE [b]"),
        ("1.2.3 == x", "Unable to parse numeric value '1.2.3'"),
        ("os.system == x", "Unable to access unexported field 'system'"),
        ("a =~ '['", "Unable to compile regexp pattern"),
        ("a in b", "it is not an array"),
        ("]", "Invalid token"),
        ("1 + 1", "Expected boolean evaluation for '1 + 1'. Got 2"),
    ],
)
def test_what_is_no_condition_is_refused_in_upstreams_words(text: str, says: str) -> None:
    with pytest.raises(ExpressionError) as error:
        evaluate(text)

    assert says in str(error.value)


@pytest.mark.parametrize("text", ["(" * 500 + "1" + ")" * 500, "!" * 5000 + "true", "1" + "+1" * 5000, "a" * 70_000])
def test_monstrous_expressions_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text)


def test_a_long_list_is_no_monster() -> None:
    assert evaluate("7 in (" + ", ".join(map(str, range(5000))) + ")") is True


@given(st.text())
def test_any_text_gives_an_answer_or_an_expression_error(text: str) -> None:
    with suppress(ExpressionError):
        assert isinstance(evaluate(text), bool)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="'\\"), min_size=1))
def test_a_quoted_text_equals_itself_whatever_it_says(text: str) -> None:
    assert evaluate(f"'{text}' == '{text}'") is True
