"""Conditions over dependencies."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.expressions import ConditionError, all_of, compile_condition

NAMES = ("a", "b-c", "b_c", "d.e")


@given(
    st.recursive(
        st.sampled_from(NAMES).map(lambda n: (n, n)),
        lambda inner: st.one_of(
            inner.map(lambda t: (f"({t[0]})", ("same", t[1]))),
            inner.map(lambda t: (f"!({t[0]})", ("not", t[1]))),
            st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
                lambda t: (f"({t[0][0]}){t[1]}( {t[2][0]} )", (t[1], t[0][1], t[2][1]))
            ),
        ),
        max_leaves=12,
    ),
    st.sets(st.sampled_from(NAMES)),
)
def test_a_condition_means_what_it_says(condition: Any, have: set[str]) -> None:
    text, tree = condition

    def holds(node: Any) -> bool:
        match node:
            case str():
                return node in have
            case ("same", inner):
                return holds(inner)
            case ("not", inner):
                return not holds(inner)
            case ("&&", left, right):
                return holds(left) and holds(right)
            case (_, left, right):
                return holds(left) or holds(right)

    assert compile_condition(text).holds(have) == holds(tree)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=9), st.data())
def test_and_binds_tighter_than_or(names: list[str], data: st.DataObject) -> None:
    operators = [data.draw(st.sampled_from(["&&", "||"])) for _ in names[1:]]
    have = data.draw(st.sets(st.sampled_from(["a", "b", "c", "d"])))
    text = names[0] + "".join(f" {o} {n}" for o, n in zip(operators, names[1:], strict=True))
    python = text.replace("&&", "and").replace("||", "or")

    expected = eval(python, {}, {name: name in have for name in "abcd"})

    assert compile_condition(text).holds(have) == expected


def test_names_are_kept_in_order_and_negated_ones_apart() -> None:
    condition = compile_condition("b && (a || !c) && b")

    assert condition.names == ("b", "a", "c")
    assert condition.negated == {"c"}
    assert condition.joins
    assert condition.need({"a"}) == ["b"]


def test_an_or_alone_remembers_nothing() -> None:
    assert not compile_condition("a || (b || c)").joins
    assert compile_condition("a && b").joins


def test_no_condition_is_all_dependencies() -> None:
    condition = all_of(["a", "b"])

    assert not condition.holds({"a"})
    assert condition.holds({"a", "b"})
    assert all_of(["a"]).joins is False


@pytest.mark.parametrize(
    "text", ["", " ", "a &", "a & b", "a | b", "a b", "(a", "a)", "()", "&& a", "a &&", "a ! b", "!", "a && || b"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ConditionError):
        compile_condition(text)


def test_a_long_chain_is_no_depth_but_nesting_is() -> None:
    names = [f"n{i}" for i in range(1500)]
    condition = compile_condition(" && ".join(names))
    assert condition.holds(set(names))
    with pytest.raises(ConditionError, match="nested"):
        compile_condition("(" * 100 + "a" + ")" * 100)


@given(st.text("ab&|!() ", max_size=20))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    with suppress(ConditionError):
        compile_condition(text).holds({"a"})
