"""expr-lang: the functions of the language, and Argo's. Cases after upstream's documentation and its own tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.events import JsonValue
from retrain.expressions.exprlang import ExprError, compile_expr

NOW = datetime(2026, 11, 21, 8, 30, 15, 250000, tzinfo=UTC)
ENV: dict[str, JsonValue] = {
    "strings": ["foo", "bar", "baz"],
    "mixed": [1, "2", True],
    "nested": [1, [2, 3], [4.0, [5.0]]],
}


def value_of(text: str, env: dict[str, JsonValue] | None = None) -> JsonValue:
    return compile_expr(text).evaluate(ENV if env is None else env, now=NOW)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("len(1..10) + len({a: 1}) + len('hello')", 16),
        ("len('北京👍🏻')", 4),
        ("[abs(-5), abs(-.5), abs(5)]", [5, 0.5, 5]),
        ("abs(-9223372036854775807 - 1)", -(2**63)),
        (
            "[ceil(5.5), floor(5.5), round(5.5), round(5.49), round(-2.5), round(0.49999999999999994)]",
            [6, 5, 6, 5, -3, 0],
        ),
        ("type(ceil(5))", "float"),
        ("[int(5.9), int(-5.9), int('5'), int('-07')]", [5, -5, 5, -7]),
        ("[float(5), float('5.5'), float('1e3')]", [5, 5.5, 1000]),
        (
            "[string(5), string(5.5), string(nil), string(true), string([1, 'a']), string({b: 1, a: nil})]",
            ["5", "5.5", "<nil>", "true", "[1 a]", "map[a:<nil> b:1]"],
        ),
        (
            "[string(1e6), string(123456.0), string(1e21), string(0.0001), string(0.00001), string(2.0)]",
            ["1e+06", "123456", "1e+21", "0.0001", "1e-05", "2"],
        ),
        (
            "map([nil, true, 1, 1.5, 'a', [], {}, b'', now(), duration('1s')], type(#))",
            ["nil", "bool", "int", "float", "string", "array", "map", "array", "time.Time", "time.Duration"],
        ),
        (
            "[trim('  foo\\n'), trim('__foo___', '_'), trimPrefix('p_foo', 'p_'), trimSuffix('foo_x', '_x')]",
            ["foo", "foo", "foo", "foo"],
        ),
        ("[upper('foo ß'), lower('FOO É')]", ["FOO ß", "foo é"]),
        ("split('foo,bar,baz', ',')", ["foo", "bar", "baz"]),
        (
            "[split('a,b,c', ',', 2), split('a,b', ',', 0), split('abc', ''), split('abc', '', 2)]",
            [["a", "b,c"], [], ["a", "b", "c"], ["a", "bc"]],
        ),
        ("[splitAfter('a,b,c', ','), splitAfter('a,b,c', ',', 2)]", [["a,", "b,", "c"], ["a,", "b,c"]]),
        (
            "[replace('a,b,c', ',', ';'), replace('a,b,c', ',', ';', 1), replace('ab', '', '-')]",
            ["a;b;c", "a;b,c", "-a-b-"],
        ),
        ("repeat('foo', 3) + repeat('x', 0)", "foofoofoo"),
        ("[join(strings, ','), join(strings), join([], ',')]", ["foo,bar,baz", "foobarbaz", ""]),
        (
            "[indexOf('foo,bar,baz', ','), lastIndexOf('foo,bar,baz', ','), indexOf('a', 'b'), indexOf('éa', 'a')]",
            [3, 7, -1, 2],
        ),
        ("hasPrefix('foo', 'fo') && hasSuffix('foo', 'oo')", True),
        (
            "[max(1, 2, 3), max([1.5, 2.5]), max([1, 2, 4, 10], 20, [29, 23, -19]), max([], 5), max([])]",
            [3, 2.5, 29, 5, None],
        ),
        ("[min(1, 2, 3), min(-1, [1.5]), min(nested), min('a')]", [1, -1, 1, "a"]),
        (
            "[mean(1..9), mean([]), mean([1, 2, 3.0, 4]), mean(10, [1, 2, 3], 1..9), mean(nested)]",
            [5, 0, 2.5, 4.6923076923076925, 3],
        ),
        (
            "[median(1..9), median([]), median([1, 2, 3, 4]), median(10, [1, 2, 3], 1..9), median(1..5, 4.9)]",
            [5, 0, 2.5, 4, 3.5],
        ),
        ("[first(strings), last(strings), first([]), last([]), first({a: 1})]", ["foo", "baz", None, None, None]),
        (
            "[get(strings, 1), get(strings, 99), get(strings, -1), get({a: 1}, 'a'), get({a: 1}, 'b'), get(nil, 'a')]",
            ["bar", None, "baz", 1, None, None],
        ),
        ("[take(strings, 2), take(strings, 99)]", [["foo", "bar"], ["foo", "bar", "baz"]]),
        (
            "[reverse([3, 1, 4]), sort([3, 1, 4]), sort([3, 1, 4], 'desc'), sort(['b', 'a'])]",
            [[4, 1, 3], [1, 3, 4], [4, 3, 1], ["a", "b"]],
        ),
        ("concat(strings, [1], [])", ["foo", "bar", "baz", 1]),
        ("flatten([['a'], [1, 2, [3, [[[['c'], 'e']]]]]])", ["a", 1, 2, 3, "c", "e"]),
        ("uniq([1, 15, 'a', 1.0, 'a', [1, 2], [1, 2], true, nil, nil])", [1, 15, "a", [1, 2], True, None]),
        ("keys({a: 1, b: 2})", ["a", "b"]),
        ("values({a: 1, b: 2})", [1, 2]),
        ("fromPairs(toPairs({a: 1, b: 2}))", {"a": 1, "b": 2}),
        ("fromPairs([[1, 'x'], ['a', 2]])[1]", "x"),
        (
            "toJSON({foo: 1, bar: [2.5, '<é>', {}]})",
            '{\n  "bar": [\n    2.5,\n    "\\u003cé\\u003e",\n    {}\n  ],\n  "foo": 1\n}',
        ),
        ("toJson({b: [1, '2', {an: nil}], a: 1e21, c: 1e-7})", '{"a":1e+21,"b":[1,"2",{"an":null}],"c":1e-7}'),
        ('map(fromJSON(\'[1, "a", null, {"b": true}]\'), type(#))', ["float", "string", "nil", "map"]),
        ("[toBase64('hello'), fromBase64('aGVsbG8=')]", ["aGVsbG8=", "hello"]),
        ("[bitand(90, 34), bitor(10, 5), bitxor(15, 32), bitnand(35, 9), bitnot(10)]", [2, 15, 47, 34, -11]),
        (
            "[bitshl(7, 2), bitshr(7, 2), bitshr(-5, 1), bitushr(-100, 5), bitshl(1, 63), bitshl(1, 64)]",
            [28, 1, -3, 576460752303423484, -(2**63), 0],
        ),
        ("[asInt('12'), asInt(2.9), asFloat('1.5')]", [12, 2, 1.5]),
    ],
)
def test_functions(text: str, want: JsonValue) -> None:
    assert value_of(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("now().Year() == 2026 && now().Minute() == 30", True),
        ("now(timezone('Europe/Zurich')).Hour()", 9),
        ("string(now())", "2026-11-21 08:30:15.25 +0000 UTC"),
        ("now()", "2026-11-21T08:30:15.25Z"),
        ("(now() - date('2026-11-21T08:29:15.25Z')).Seconds()", 60),
        ("now() - duration('1h') < now() and now() + duration('1ns') >= now()", True),
        ("string(now() - date('2026-11-20'))", "32h30m15.25s"),
        ("string(duration('1h') + duration('1m30.5s'))", "1h1m30.5s"),
        (
            "map(['0', '1500us', '-2h45m', '.5s', '1µs'], string(duration(#)))",
            ["0s", "1.5ms", "-2h45m0s", "500ms", "1µs"],
        ),
        ("[string(7 * duration('1h')), string(duration('1h') * 2), duration('1s') * .5]", ["7h0m0s", "2h0m0s", 5e8]),
        ("duration('1h') == duration('60m') && duration('1h') > duration('1m')", True),
        (
            "[duration('90m').Hours(), duration('1.5s').Milliseconds(), duration('7s').Round(duration('5s')).String()]",
            [1.5, 1500, "5s"],
        ),
        ("date('2023-08-14').Weekday() + date('2023-08-14').YearDay()", 227),
        (
            "date('2023-08-14 00:00:00').In(timezone('Europe/Zurich')).Format('02.01.06 15:04 MST -07:00')",
            "14.08.23 02:00 CEST +02:00",
        ),
        (
            "date('2023-04-23T00:30:00', '2006-01-02T15:04:05', 'America/Chicago').Format('2006-01-02T15:04:05Z07:00')",
            "2023-04-23T00:30:00-05:00",
        ),
        (
            "date('2023-04-23T00:30:00.123+0100', '2006-01-02T15:04:05-0700').UTC().String()",
            "2023-04-22 23:30:00.123 +0000 UTC",
        ),
        ("date(timezone('Europe/Zurich'), '2023-08-14').Unix()", 1691964000),
        ("date('Mon, 14 Aug 2023 10:00:00 GMT').Hour()", 10),
        ("date('14 Aug 23 10:00 UTC') == date('2023-08-14 10:00:00')", True),
        ("date('15:04:05').Format('3:04PM')", "3:04PM"),
        ("date('Aug 4, 2023', 'Jan 2, 2006').Format('Monday, January _2 (002)')", "Friday, August  4 (216)"),
        ("date('2024-01-31').AddDate(0, 1, 0).Format('2006-01-02')", "2024-03-02"),
        ("date('2024-03-10').Sub(date('2024-03-09')).Hours()", 24),
        ("date('2024-03-10').Before(date('2024-03-11')) && not date('2024-03-10').IsZero()", True),
        ("now().Truncate(duration('1h')).Format('15:04:05.000')", "08:00:00.000"),
        ("timezone('Europe/Moscow').String()", "Europe/Moscow"),
        ("sort([now(), now() - duration('1s')])[0] < now()", True),
    ],
)
def test_times(text: str, want: JsonValue) -> None:
    assert value_of(text) == want


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("$.employees[*].name", ["Baris", "Mo", "Jai"]),
        ("$.employees[0].friends", ["Mo", "Jai"]),
        ("$['employees'][-1][\"name\"]", "Jai"),
        ("employees[1].age", 42),
        ("{.employees[1].age}", 42),
        ("$..age", [43, 42, 44]),
        ("$.employees[0:2].name", ["Baris", "Mo"]),
        ("$.employees[::2].age", [43, 44]),
        ("$.employees[0,2].age", [43, 44]),
        ("$.employees[0]['name','age']", ["Baris", 43]),
        ("$.employees[?(@.age > 42)].name", ["Baris", "Jai"]),
        ("$.employees[?(@.age < 43 || @.name == 'Jai' && @.friends[0] == 'Baris')].age", [42, 44]),
        ("$.employees[?(@.boss)].name", ["Mo"]),
        ("$.employees[?(!@.boss)].name", ["Baris", "Jai"]),
        ("$.employees[?(@.name == $.best)].age", [44]),
        ("$.nope[*].x", []),
        ("$.best", "Jai"),
        ("$..*.name", ["Baris", "Mo", "Jai"]),
    ],
)
def test_jsonpath(path: str, want: JsonValue) -> None:
    document: JsonValue = {
        "employees": [
            {"name": "Baris", "age": 43, "friends": ["Mo", "Jai"]},
            {"name": "Mo", "age": 42, "friends": ["Baris", "Jai"], "boss": True},
            {"name": "Jai", "age": 44, "friends": ["Baris", "Mo"]},
        ],
        "best": "Jai",
    }
    env: dict[str, JsonValue] = {"text": json.dumps(document), "value": document, "path": path}

    assert value_of("jsonpath(text, path)", env) == want
    assert value_of("jsonpath(value, path)", env) == want


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("len(1)", "invalid argument for len (type int)"),
        ("abs('foo')", "invalid argument for abs (type string)"),
        ("int('1_0')", "invalid operation: int(1_0)"),
        ("int(true)", "invalid operation: int(bool)"),
        ("int('99999999999999999999')", "invalid operation: int("),
        ("float('x')", "invalid operation: float(x)"),
        ("upper(1)", "upper takes a text here, not int"),
        ("repeat('a', -1)", "expected positive integer"),
        ("join([1])", "join takes a text here, not int"),
        ("max(1, '2')", "invalid argument for max (type string)"),
        ("median(1..9, 't')", "invalid argument for median (type string)"),
        ("take(strings, 1.5)", "cannot take float64 elements"),
        ("reverse('abc')", "cannot reverse string"),
        ("keys([1])", "cannot get keys from []interface {}"),
        ("fromPairs([[1]])", "invalid pair"),
        ("flatten(1)", "cannot flatten int"),
        ("bitnot('1')", "cannot use string as argument (type int) to call bitnot"),
        ("bitand(1.0, 1)", "cannot use float64 as argument"),
        ("bitshl(1, -1)", "negative shift count -1"),
        ("fromJSON('{')", "invalid JSON"),
        ("fromJSON('NaN')", "invalid character 'N'"),
        ("fromJSON('5e2482')", "does not fit float64"),
        ("toJSON(1 / 0)", "json: unsupported value: +Inf"),
        ("toJson(groupBy([1], #))", "json: unsupported type"),
        ("fromBase64('é')", "illegal base64 data"),
        ("duration('1 hour')", "invalid duration '1 hour'"),
        ("date('error')", "invalid date 'error'"),
        ("date('2023-02-30')", "day is out of range"),
        ("date('x', '2006')", "cannot parse 'x' as a time like '2006'"),
        ("date(1)", "date takes a text here, not int"),
        ("timezone('Mars/Base')", "unknown time zone Mars/Base"),
        ("timezone('../../etc/passwd')", "unknown time zone"),
        ("now(1)", "now takes timezone(...)"),
        ("now().Zone()", "time.Time has no method Zone"),
        ("now().Year(1)", "invalid number of arguments for Year (expected 0, got 1)"),
        ("now().Year", "cannot fetch Year from time.Time"),
        ("now() + now()", "invalid operation: time.Time + time.Time"),
        ("now().AddDate(99999, 0, 0)", "AddDate"),
        ("date('9999-12-31') + duration('25h')", "outside of the years 1 to 9999"),
        ("jsonpath('{}', '$.a')", "there is no key 'a'"),
        ("jsonpath('{}', '$.a[')", "unexpected"),
        ("jsonpath('{}', '$[?(@.a ~ 1)]')", "unexpected '~ 1)]'"),
        ("jsonpath('{}', '$[(@.length-1)]')", "unexpected '(@.length-'"),
        ("jsonpath('{', '$.a')", "invalid JSON"),
        ("toJson(1, 2)", "invalid number of arguments for toJson (expected 1, got 2)"),
    ],
)
def test_what_functions_refuse(text: str, says: str) -> None:
    with pytest.raises(ExprError) as error:
        value_of(text)

    assert says in str(error.value)


def test_there_is_no_time_unless_it_is_given() -> None:
    with pytest.raises(ExprError, match="no time was given"):
        compile_expr("now()").evaluate({})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_from_its_text_and_from_json(number: float) -> None:
    env: dict[str, JsonValue] = {"n": number}

    assert value_of("float(string(n))", env) == number
    assert value_of("fromJSON(toJson(n))", env) == number


@given(st.datetimes(timezones=st.sampled_from([UTC, ZoneInfo("Asia/Kolkata"), timezone(timedelta(hours=-3))])))
def test_a_time_reads_back_from_its_text(moment: datetime) -> None:
    layout = "2006-01-02T15:04:05.999999Z07:00"
    moment = moment.replace(year=max(moment.year, 1950) if moment.year < 9990 else 9990, month=6, day=15)

    expression = compile_expr(f"date(now().Format('{layout}'), '{layout}') == now()")

    assert expression.evaluate({}, now=moment) is True


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_a_duration_reads_back_from_its_text(nanoseconds: int) -> None:
    expression = compile_expr("duration(string(duration('1ns') * n))")

    assert expression.evaluate({"n": nanoseconds}) == nanoseconds


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_json_reads_back(value: JsonValue) -> None:
    assert value_of("fromJSON(toJson(v)) == v and fromJSON(toJSON(v)) == v", {"v": value}) is True
    assert json.loads(str(value_of("toJson(v)", {"v": value})), parse_int=float) == value


@given(st.lists(st.integers(-5, 5)), st.sampled_from(["asc", "desc"]))
def test_sort_gives_the_same_elements_in_order(items: list[int], order: str) -> None:
    got = value_of("sort(v, order)", {"v": list(items), "order": order})

    assert got == sorted(items, reverse=order == "desc")
