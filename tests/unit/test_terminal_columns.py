"""Tables and trees fit the screen: what nobody needs gives way, names keep their ending, nothing is pushed off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retrain.cli.columns import broken, cell_width, cut, cut_name, widths
from retrain.cli.run_grid import Line, columns

TEXTS = st.text(st.sampled_from("ab c-日é"), max_size=90)


@given(
    st.lists(st.tuples(st.integers(1, 200), st.sampled_from(["NAME", "STATUS", "MESSAGE"])), min_size=1, max_size=8),
    st.integers(1, 200),
)
def test_columns_fit_the_room_or_are_left_out_from_the_right(some: list[tuple[int, str]], room: int) -> None:
    titles = [title for _, title in some]
    natural = [max(width, len(title)) for width, title in some]

    drawn = widths(natural, titles, room, 2)

    assert 1 <= len(drawn) <= len(natural)
    assert len(drawn) == 1 or sum(drawn) + 2 * (len(drawn) - 1) <= room
    assert all(width <= whole for width, whole in zip(drawn, natural, strict=False))
    if sum(natural) + 2 * (len(natural) - 1) <= room:
        assert drawn == natural


def test_messages_give_way_before_names_and_states_never() -> None:
    drawn = widths([34, 19, 3, 60], ["NAME", "STATUS", "AGE", "MESSAGE"], 80, 2)

    assert drawn == [34, 19, 3, 18]
    assert widths([3, 30, 22, 40], ["AGE", "SENSOR", "ID", "ERROR"], 80, 2) == [3, 24, 22, 24]
    assert widths([3, 30, 22, 40], ["AGE", "SENSOR", "ID", "ERROR"], 40, 2) == [3, 10, 10, 10]
    assert widths([63, 19, 3, 60], ["NAME", "STATUS", "AGE", "MESSAGE"], 80, 2) == [37, 19, 3, 15]


@given(TEXTS, st.integers(1, 60))
def test_what_is_cut_is_as_wide_as_it_may_be_and_says_so(text: str, width: int) -> None:
    for made in (cut(text, width), cut_name(text, width)):
        assert cell_width(made) <= width
        assert made == text or "…" in made
    assert cut_name("train-on-new-data-x7k2p", 16) == "train-on-…-x7k2p"


@given(TEXTS, st.integers(2, 60))
def test_a_broken_text_has_all_its_words(text: str, width: int) -> None:
    made = broken(text, width)

    assert "".join("".join(made).split()) == "".join(text.split())
    assert all(cell_width(line) <= width for line in made)


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5), st.integers(50, 160), st.booleans())
def test_a_tree_is_never_wider_than_the_screen(rows: list[tuple[str, str, str]], room: int, whole: bool) -> None:
    lines = [
        Line(" ├─", f"✔ {name}", "", (template, "a-pod-name", "1.5s", message)) for name, template, message in rows
    ]

    drawn = list(columns(lines, "table", room, whole=whole))

    assert max(cell_width(line.prefix + line.name + rest) for line, rest in drawn) <= room
    assert len(drawn) == 1 + len(rows) or whole


def test_a_long_message_goes_on_below_itself_beside_the_branches() -> None:
    lines = [
        Line(" ", "✔ wf", "", ("", "", "", "")),
        Line(" ├─┬─", "✖ first", "", ("t", "", "0.1s", "one two three four five six seven eight")),
        Line(" │ └─", "✔ second", "", ("t", "", "0.1s", "")),
    ]

    drawn = [line.prefix + line.name + rest for line, rest in columns(lines, "table", 45, whole=True)]

    assert drawn == [
        "STEP           DURATION  MESSAGE",
        " ✔ wf",
        " ├─┬─✖ first   0.1s      one two three four",
        " │ │                     five six seven eight",
        " │ └─✔ second  0.1s",
    ]
