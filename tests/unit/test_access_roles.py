"""Roles with namespaces: what a set of them gives, and what two sets have in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain import roles
from retrain.app.access.token_rules import Terms, Wish, draw_up, scopes
from retrain.app.access.token_text import PATTERN, is_token, new_token
from retrain.errors import ConfigError, Forbidden
from retrain.identity import Principal, nobody_known
from retrain.roles import RIGHTS, Right
from retrain.store.tokens import TokenRow
from retrain.web.rights import TABLE, decide, rule_of

NOW = datetime(2026, 11, 22, 5, tzinfo=UTC)
PLACES = [None, "a", "b", "default"]


def role(name: str, place: str | None) -> str:
    return f"{name}@{place}" if place else name


NAMES = st.sampled_from([*RIGHTS, "risk"])
ROLES = st.builds(role, NAMES, st.sampled_from(PLACES))
SETS = st.frozensets(ROLES, max_size=4)
RIGHT: st.SearchStrategy[Right] = st.sampled_from(RIGHTS)  # type: ignore[arg-type]
WHERE = st.sampled_from(PLACES)


@given(SETS, SETS, RIGHT, WHERE)
def test_what_two_sets_have_in_common_gives_what_both_give_and_no_more(
    some: frozenset[str], others: frozenset[str], right: Right, where: str | None
) -> None:
    both = roles.may(some, right, where) and roles.may(others, right, where)

    assert roles.may(roles.meet(some, others), right, where) == both


@given(SETS, SETS)
def test_nobody_gets_a_role_of_an_approval_that_they_do_not_have(some: frozenset[str], others: frozenset[str]) -> None:
    met = roles.meet(some, others)
    for place in PLACES:
        assert ("risk" in roles.at(met, place)) <= (
            "risk" in roles.at(others, place) and "risk" in roles.at(some, place)
        )


@given(SETS, SETS, RIGHT, WHERE)
def test_roles_that_are_not_beyond_others_give_nothing_beyond_them(
    wanted: frozenset[str], own: frozenset[str], right: Right, where: str | None
) -> None:
    if not roles.beyond(wanted, own):
        assert roles.may(wanted, right, where) <= roles.may(own, right, where)


@given(SETS, RIGHT, WHERE)
def test_the_roles_of_one_place_are_those_that_count_there(
    given_: frozenset[str], right: Right, where: str | None
) -> None:
    who = Principal("ada", given_)

    assert who.at(where).may(right) == who.may(right, where)
    assert not who.at(where).narrow


@given(SETS, RIGHT)
def test_what_counts_everywhere_counts_in_every_namespace(given_: frozenset[str], right: Right) -> None:
    spaces = roles.namespaces(given_, right)
    for place in ("a", "b", "default"):
        assert roles.may(given_, right, place) == (spaces is None or place in spaces)


@given(SETS, st.sampled_from(sorted(TABLE)))
def test_the_door_never_says_yes_to_what_no_role_gives(given_: frozenset[str], route: str) -> None:
    who, rule = Principal("ada", given_), TABLE[route]

    said = decide(who, rule)

    if said == "yes" and rule.over not in {"own", "list", "seam"}:
        assert who.may(rule.right)
    if rule.over == "" and not who.may(rule.right):
        assert said == "no"
    assert said != "ask" or who.narrow


def test_a_route_that_no_table_has_needs_to_look_or_to_do_everywhere() -> None:
    assert rule_of("GET", "/api/v1/new")[0].right == "viewer"
    assert rule_of("POST", "/api/v1/new")[0].right == "operator"
    assert rule_of("DELETE", "/api/v1/runs/x")[0].right == "operator"
    assert rule_of("GET", "/api/v1/runs/x/logs") == (TABLE["GET /api/v1/runs/{name}/logs"], {"name": "x"})


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_has_a_form_that_scanners_know_and_that_checks_itself() -> None:
    made = {new_token() for _ in range(200)}

    assert len(made) == 200
    assert all(PATTERN.fullmatch(one) and is_token(one) for one in made)
    one = made.pop()
    assert not is_token(one[:-1] + ("a" if one[-1] != "a" else "b"))
    assert not is_token(one + "a")
    assert not is_token("rtn_" + "0" * 48 + "é")


def ada(*given_: str, kind: str = "person") -> Principal:
    return Principal("ada", frozenset(given_), verified=True, kind=kind)  # type: ignore[arg-type]


def make(wish: Wish, who: Principal, parent: TokenRow | None = None) -> TokenRow:
    return draw_up(wish, who, parent, NOW, Terms(90, 365), "digest")


@given(SETS, SETS.filter(bool), RIGHT, WHERE)
def test_no_token_gives_more_than_its_owner_has(
    own: frozenset[str], wanted: frozenset[str], right: Right, where: str | None
) -> None:
    try:
        row = make(Wish("x", tuple(wanted)), ada(*own))
    except Forbidden:
        return
    assert roles.may(row.roles, right, where) <= roles.may(own, right, where)


@given(SETS, SETS.filter(bool))
def test_a_program_never_gets_more_than_to_do(own: frozenset[str], wanted: frozenset[str]) -> None:
    try:
        row = make(Wish("x", tuple(wanted), kind="service"), ada(*own))
    except Forbidden:
        return
    assert {roles.split(one)[0] for one in row.roles} <= {"viewer", "operator"}
    assert any(roles.split(one)[0] == "admin" for one in own)


def test_a_token_makes_none_that_lasts_longer_than_itself() -> None:
    parent = make(Wish("first", ("operator",), days=10), ada("operator"))

    assert make(Wish("second", ("viewer",)), ada("operator"), parent).expires == parent.expires
    assert make(Wish("second", ("viewer",), days=3), ada("operator"), parent).expires == NOW + timedelta(days=3)
    with pytest.raises(Forbidden, match="lasts longer than itself"):
        make(Wish("second", ("viewer",), days=11), ada("operator"), parent)


@pytest.mark.parametrize(
    ("wish", "who", "says"),
    [
        (Wish("x", ("admin",)), ada("operator"), "cannot have admin"),
        (Wish("x", ("operator",)), ada("operator@a"), "cannot have operator"),
        (Wish("x"), nobody_known("ada"), "belongs to a person"),
        (Wish("x"), ada("admin", kind="shared"), "belongs to a person"),
        (Wish("x"), ada("admin", kind="service"), "a service makes no tokens"),
        (Wish("x", ("approver",), kind="service"), ada("admin"), "approvals need a person"),
        (Wish("x", ("operator",), kind="service"), ada("operator"), "needs the role admin"),
        (Wish("x", ("operator",), kind="service"), ada("admin@a"), "needs the role admin"),
    ],
)
def test_what_somebody_may_not_have_is_said(wish: Wish, who: Principal, says: str) -> None:
    with pytest.raises(Forbidden, match=says):
        make(wish, who)


@pytest.mark.parametrize(
    "wish", [Wish(""), Wish("<b>"), Wish("x" * 101), Wish("x", ()), Wish("x", ("no role",)), Wish("x", days=366)]
)
def test_a_wish_that_cannot_be_read_is_refused(wish: Wish) -> None:
    with pytest.raises(ConfigError):
        make(wish, ada("admin"))


def test_namespaces_narrow_the_roles_that_name_none() -> None:
    assert scopes(Wish("x", ("operator", "viewer@c"), ("a", "b"))) == ("viewer@c", "operator@a", "operator@b")
