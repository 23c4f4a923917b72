"""Arithmetic and conversions of sprig. The answers are sprig's own."""

from __future__ import annotations

from typing import Any

import pytest

from retrain.expressions.gotemplate import TemplateError, compile_template

DATA: dict[str, Any] = {
    "z": None,
    "m": {"k": 1, "j": 2},
}

ANSWERS = [
    ('{{ atoi "12" }}', "12"),
    ('{{ atoi "x" }}', "0"),
    ('{{ atoi "99999999999999999999" }}', "9223372036854775807"),
    ('{{ int "0x1F" }}', "31"),
    ('{{ int "017" }}', "15"),
    ('{{ int "1.0" }}', "1"),
    ('{{ int "1.5" }}', "0"),
    ("{{ int 1.9 }}", "1"),
    ("{{ int -1.9 }}", "-1"),
    ("{{ int true }}", "1"),
    ("{{ int .z }}", "0"),
    ('{{ int "1_000" }}', "1000"),
    ('{{ int " 5" }}', "0"),
    ('{{ int "089" }}', "0"),
    ('{{int "10.00"}}', "10"),
    ('{{ int "+5" }}', "5"),
    ('{{int ""}}', "0"),
    ('{{ float64 "1.5" }}', "1.5"),
    ('{{ float64 "x" }}', "0"),
    ('{{ float64 "inf" }}', "+Inf"),
    ('{{ float64 "1e3" }}', "1000"),
    ("{{ float64 3 }}", "3"),
    ("{{float64 true}}", "1"),
    ('{{float64 "0x1p4"}}', "16"),
    ('{{float64 "1_0"}}', "10"),
    ('{{ float64 ".5" }}', "0.5"),
    ('{{float64 "5."}}', "5"),
    ('{{float64 "NaN"}}', "NaN"),
    ("{{float64 .m}}", "0"),
    ('{{ toDecimal "0777" }}', "511"),
    ("{{ toDecimal 17 }}", "15"),
    ('{{ toDecimal "9" }}', "0"),
    ("{{ add 1 2 3 }}", "6"),
    ('{{ add "1" 2.9 true }}', "4"),
    ("{{ add }}", "0"),
    ("{{ add1 5 }}", "6"),
    ("{{ sub 5 7 }}", "-2"),
    ("{{ div 7 2 }}", "3"),
    ("{{ div -7 2 }}", "-3"),
    ("{{ mod -7 3 }}", "-1"),
    ("{{ mod 7 -3 }}", "1"),
    ("{{ mul 2 3 4 }}", "24"),
    ("{{ max 1 5 3 }}", "5"),
    ("{{ min 4 2 8 }}", "2"),
    ("{{ biggest 1 2 }}", "2"),
    ("{{ add 9223372036854775807 1 }}", "-9223372036854775808"),
    ("{{ mul 9223372036854775807 2 }}", "-2"),
    ("{{ sub -9223372036854775808 1 }}", "9223372036854775807"),
    ("{{ addf 1.1 2.2 }}", "3.3"),
    ("{{ add1f 1.5 }}", "2.5"),
    ("{{ subf 7.5 2 3 }}", "2.5"),
    ("{{ divf 10 3 }}", "3.3333333333333335"),
    ("{{ mulf 1.1 1.1 }}", "1.21"),
    ("{{ divf 1 7 3 }}", "0.0476190476190476"),
    ("{{ addf 0.1 0.2 }}", "0.3"),
    ("{{ mulf 0.1 3 }}", "0.3"),
    ("{{ divf 2 3 }}", "0.6666666666666667"),
    ("{{ divf 1e-20 3 }}", "0"),
    ("{{ maxf 1 2.5 3 }}", "3"),
    ("{{ minf 1.5 2 }}", "1.5"),
    ("{{ floor 123.9999 }}", "123"),
    ("{{ ceil 123.001 }}", "124"),
    ("{{ round 123.555555 3 }}", "123.556"),
    ("{{ round 2.5 0 }}", "3"),
    ("{{ round -2.5 0 }}", "-3"),
    ("{{ round 123.555555 3 0.9 }}", "123.555"),
    ('{{ round "3.14159" 2 }}', "3.14"),
    ("{{ floor -1.5 }}", "-2"),
    ("{{ ceil -1.5 }}", "-1"),
    ("{{ round 1e300 5 }}", "1.0000000000000002e+300"),
    ("{{ round 5 -1 }}", "10"),
    ("{{round 1 400}}", "NaN"),
    ("{{round 1.55 1}}", "1.6"),
    ("{{ until 5 }}", "[0 1 2 3 4]"),
    ("{{ until 0 }}", "[]"),
    ("{{ until -3 }}", "[0 -1 -2]"),
    ("{{ untilStep 3 6 2 }}", "[3 5]"),
    ("{{ untilStep 6 3 -2 }}", "[6 4]"),
    ("{{ untilStep 1 5 0 }}", "[]"),
    ("{{ untilStep 5 1 1 }}", "[]"),
    ("{{ seq 5 }}", "1 2 3 4 5"),
    ("{{ seq -3 }}", "1 0 -1 -2 -3"),
    ("{{ seq 0 2 }}", "0 1 2"),
    ("{{ seq 2 -2 }}", "2 1 0 -1 -2"),
    ("{{ seq 0 2 10 }}", "0 2 4 6 8 10"),
    ("{{ seq 0 -2 -5 }}", "0 -2 -4"),
    ("{{ seq 5 1 }}", "5 4 3 2 1"),
    ("{{seq 0}}", "1 0"),
    ("{{seq 5 2 1}}", ""),
    ("{{seq 1 2 3 4}}", ""),
    ("{{seq}}", ""),
    ("{{ seq 1 -1 5 }}", ""),
    ("{{ until (int (add 1 2)) }} {{ range until 3 }}{{ . | kindOf }}{{end}}", "[0 1 2] intintint"),
]

ERRORS = [
    ("{{ div 1 0 }}", "div: runtime error: integer divide by zero"),
    ("{{ mod 1 0 }}", "mod: runtime error: integer divide by zero"),
    ("{{ divf 1 0 }}", "divf: decimal division by 0"),
    ("{{ until (add 1 2) }}", "wrong type for value; expected int; got int64"),
]


@pytest.mark.parametrize(("template", "want"), ANSWERS)
def test_numbers_come_out_as_from_sprig(template: str, want: str) -> None:
    assert compile_template(template).render(DATA) == want


@pytest.mark.parametrize(("template", "message"), ERRORS)
def test_numbers_that_sprig_refuses_are_refused_in_its_words(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile_template(template).render(DATA)

    assert str(error.value).endswith(message)
