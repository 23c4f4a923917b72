"""`script` of filters and transforms: upstream's rules for tables, and that no script gets out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.errors import ConfigError
from retrain.expressions.lua_script import LuaError, compile_lua
from retrain.expressions.sandbox import Sandbox, SandboxLimits


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    sandbox = Sandbox(SandboxLimits(deadline=0.2))
    yield sandbox
    sandbox.close()


@pytest.mark.parametrize(
    ("script", "data", "want"),
    [
        (
            "if event.body.action == 'closed' then return true else return false end",
            '{"body":{"action":"closed"}}',
            True,
        ),
        ("return event.body.action == 'closed'", '{"body":{"action":"open"}}', False),
        ("return 1", "{}", False),
        ("return 'true'", "{}", False),
        ("return", "{}", False),
        ("", "{}", False),
        ("return nil", "{}", False),
        ("return {}", "{}", False),
        ("return false, true", "{}", True),
        ("return true, false", "{}", False),
        ("return event.z == nil", '{"z":null}', True),
        ("return #event.m == 2 and event.m[2] == 3", '{"m":[1,null,3]}', True),
        ("return event.m[1] == nil", '{"m":[[1,2],[3]]}', True),
        ("return event.m[1].a == 1", '{"m":[[1],{"a":1}]}', True),
        ("return event['Content-Type'] == 'é'", '{"Content-Type":"é"}', True),
        ("return event.s == 'a\\0b' and #event.s == 3", '{"s":"a\\u0000b"}', True),
        ("return event.n == 12345678901234567890", '{"n":12345678901234567890}', True),
        ("return next(event) == nil", "null", True),
        ("return next(event) == nil", "{}", True),
        ("goto out ::out:: return true", "{}", True),
        ("return pcall(error, 'x') == false", "{}", True),
        ("return ('%d.%s'):format(3, 'x') == '3.x' and ('ab'):upper() == 'AB'", "{}", True),
        ("return tostring(event.n) == '1700000000000000'", '{"n":1700000000000000}', True),
        ("return tostring(1.5) == '1.5' and tostring(nil) == 'nil'", "{}", True),
        ("return coroutine.wrap(function() coroutine.yield(true) end)()", "{}", True),
        ("return table.concat({1, 2}, ',') == '1,2'", "{}", True),
        ("print('hello') return true", "{}", True),
    ],
)
def test_a_filter_passes_when_the_script_returns_true(box: Sandbox, script: str, data: str, want: bool) -> None:
    assert compile_lua(script, box).passes(data) is want


@pytest.mark.parametrize(
    ("script", "data", "want"),
    [
        ("event.body.message='updated'\nreturn event", '{"body":{"message":"m"}}', '{"body":{"message":"updated"}}'),
        ("event.c.d[1]=4 return event", '{"a":1,"b":"2","c":{"d":[3]}}', '{"a":1,"b":"2","c":{"d":[4]}}'),
        ("event.env = setmetatable({}, {__is_array = true}) return event", '{"a":1}', '{"a":1,"env":[]}'),
        ("return setmetatable({}, {__is_array = 1})", "{}", "{}"),
        ("return setmetatable({}, {__is_array = true, __metatable = false})", "{}", "[]"),
        ("return setmetatable({}, {__index = {__is_array = true}})", "{}", "{}"),
        ("return setmetatable({x = 1}, {__is_array = true})", "{}", "[]"),
        ("return event", '{"a":null,"b":1}', '{"b":1}'),
        ("return event", '{"l":[],"m":{}}', '{"l":{},"m":{}}'),
        ("return {1,2,x=3}", "{}", "[1,2]"),
        ("return {1,nil,3}", "{}", "[1,null,3]"),
        ("return {[3] = 'c'}", "{}", '[null,null,"c"]'),
        ("return {[0] = 'a', [-1] = 'b', [1.5] = 'c', [true] = 'd'}", "{}", '{"-1":"b","0":"a","1.5":"c","true":"d"}'),
        ("return {[2^40] = 'a'}", "{}", '{"1099511627776":"a"}'),
        (
            "return event",
            '{"a":1,"b":1.5,"c":1e21,"d":12345678901234567890}',
            '{"a":1,"b":1.5,"c":1e+21,"d":12345678901234567000}',
        ),
        ("return {a = '\\255'}", "{}", '{"a":"�"}'),
        ("return 1, {2}", "{}", "[2]"),
        (
            "local s = '' for k, v in pairs(event) do s = s .. k .. tostring(v) end return {s = s}",
            '{"b":1,"c":true,"a":false}',
            '{"s":"afalseb1ctrue"}',
        ),
        (
            "local s = '' for k in next, event do s = s .. k end return {s = s}",
            '{"b":1,"c":2,"a":false}',
            '{"s":"abc"}',
        ),
        ("for k in pairs(event) do event[k] = nil end return event", '{"b":1,"c":2}', "{}"),
        ("return {math.random(1, 1000) == math.random(1, 1000)}", "{}", "[false]"),
    ],
)
def test_a_transform_gives_the_table_that_the_script_returns(box: Sandbox, script: str, data: str, want: str) -> None:
    assert compile_lua(script, box).transform(data) == want


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("return (", "lua: line 1: unexpected symbol near '<eof>'"),
        ("local a = 1\nlocal b = = 2", "lua: line 2: unexpected symbol near '='"),
        ("\x1bLJ\x02\x0a", "cannot load"),
        ("goto nowhere", "undefined label 'nowhere'"),
    ],
)
def test_what_is_no_script_is_refused_when_it_is_compiled(box: Sandbox, script: str, says: str) -> None:
    with pytest.raises(LuaError) as error:
        compile_lua(script, box)

    assert says in str(error.value)


@pytest.mark.parametrize(
    ("script", "data", "says"),
    [
        ("return 'hello'", "{}", "transformation script output type is not of lua table"),
        ("return", "{}", "transformation script output type is not of lua table"),
        ("error('why')", "{}", "lua: line 1: why"),
        ("error({})", "{}", "raised an error that is no text"),
        ("return event.a.b", "{}", "line 1: attempt to index field 'a' (a nil value)"),
        ("return {print}", "{}", "a function cannot be part of the output"),
        ("return {[{}] = 1}", "{}", "a table cannot be a key in the output"),
        ("return {0/0}", "{}", "NaN or infinite"),
        ("local t = {} t[1] = t return t", "{}", "nested too deep"),
        ("return event", "[1, 2]", "the event's data is not a JSON object"),
        ("return event", '{"a": NaN}', "no JSON"),
        ("return event", "{", "cannot be used"),
        ("return event", "[" * 5000, "nested too deep"),
        ("return event", '{"a":' * 5000 + "1" + "}" * 5000, "nested too deep"),
        ("return os.time()", "{}", "scripts have no 'os'"),
        ("return io.open('/etc/passwd')", "{}", "scripts have no 'io'"),
        ("return require('os')", "{}", "scripts have no 'require'"),
    ],
)
def test_what_gives_no_table_fails_with_a_reason(box: Sandbox, script: str, data: str, says: str) -> None:
    with pytest.raises(LuaError) as error:
        compile_lua(script, box).transform(data)

    assert says in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "os",
        "io",
        "require",
        "package",
        "module",
        "debug",
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "collectgarbage",
        "gcinfo",
        "newproxy",
        "python",
        "jit",
        "ffi",
        "bit",
        "string.dump",
        "_G.os",
        "_G.python",
        "getfenv(0).io",
        "getfenv(1).debug",
        "getfenv(pairs).package",
        "getfenv(string.rep).os",
        "getmetatable('').__index.dump",
        "('').dump",
        "getmetatable(event)",
        "event.__class__",
        "getmetatable(print)",
        "getmetatable(coroutine.running)",
        "_G._LOADED",
        "_G._PRELOAD",
    ],
)
def test_nothing_that_reaches_out_is_there(box: Sandbox, name: str) -> None:
    assert compile_lua(f"return {name} == nil", box).passes('{"a": 1}') is True


def test_nothing_that_a_script_can_reach_is_of_python(box: Sandbox) -> None:
    walk = """
    local seen, out = {}, {}
    local function visit(value)
      if type(value) == "userdata" or type(value) == "thread" then out[#out + 1] = tostring(value) end
      if seen[value] or type(value) ~= "table" then return end
      seen[value] = true
      for k, v in pairs(value) do visit(k) visit(v) end
      visit(getmetatable(value))
      if type(value) == "function" then visit(getfenv(value)) end
    end
    visit(_G) visit(getmetatable("")) visit(getfenv(0))
    return #out == 0
    """
    assert compile_lua(walk, box).passes('{"a": {"b": [1, "x"]}}') is True


def test_one_event_does_not_reach_into_the_next(box: Sandbox) -> None:
    script = compile_lua(
        "if counter == nil and string.mine == nil then counter = 1 string.mine = 1 getmetatable('').__index.x = 1 "
        "math.randomseed(os and 1 or 7) return true end",
        box,
    )

    assert [script.passes("{}") for _ in range(3)] == [True] * 3


def test_the_same_event_gives_the_same_answer_in_every_process(box: Sandbox) -> None:
    script = compile_lua(
        "local s = '' for k in pairs(event) do s = s .. k end return {s, math.random(), (next(event))}", box
    )
    data = json.dumps({f"key{n}": n for n in range(30)})
    answers = {script.transform(data)}
    for _ in range(3):
        box.close()
        answers.add(script.transform(data))

    assert len(answers) == 1


PIECES = st.sampled_from(
    ["return", "event", "=", "{", "}", "(", ")", "..", "end", "while true do", "function()", "goto x", "::x::"]
)
LEAVES = st.sampled_from(
    [
        *[
            "event",
            "event.a",
            "nil",
            "true",
            "1e308",
            "0/0",
            "-1",
            "'%s%d'",
            "_G",
            "print",
            "pairs",
            "string",
            "{}",
            "('').rep",
        ],
        *[
            "getfenv(0)",
            "getmetatable('')",
            "coroutine.running()",
            "math.random()",
            "('.-'):rep(40)",
            "('a'):rep(1e5)",
            "os",
        ],
        *[
            "(function() while true do end end)",
            "(function(...) return ... end)",
            "setmetatable({}, {__index = _G})",
            "_VERSION",
        ],
    ]
)
CALLS = st.sampled_from(
    [
        *[
            "string.rep",
            "string.format",
            "string.find",
            "string.gsub",
            "string.byte",
            "string.char",
            "table.concat",
            "table.sort",
        ],
        *[
            "table.insert",
            "unpack",
            "pcall",
            "xpcall",
            "error",
            "setmetatable",
            "getmetatable",
            "setfenv",
            "getfenv",
            "next",
            "rawset",
        ],
        *[
            "coroutine.wrap",
            "coroutine.resume",
            "coroutine.create",
            "select",
            "tostring",
            "tonumber",
            "pairs",
            "math.ldexp",
            "os.exit",
        ],
    ]
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(CALLS, st.lists(inner, max_size=3)).map(lambda call: f"{call[0]}({', '.join(call[1])})"),
        st.tuples(inner, st.sampled_from(["..", "+", "==", "<", "and", "or", "^"]), inner).map(
            lambda all: f"({' '.join(all)})"
        ),
        st.lists(inner, max_size=3).map(lambda items: f"{{{', '.join(items)}}}"),
        inner.map(lambda one: f"#({one})"),
        inner.map(lambda one: f"({one})[1]"),
        inner.map(lambda one: f"(function() return {one} end)()"),
    ),
    max_leaves=6,
)
SCRIPTS = st.one_of(
    EXPRESSIONS.map(lambda one: f"return {one}"),
    EXPRESSIONS.map(lambda one: f"pcall(function() return {one} end) return event"),
    EXPRESSIONS.map(lambda one: f"for k, v in pairs({one}) do event[k] = v end return event"),
    EXPRESSIONS.map(lambda one: f"local t = {{}} while #t < 9 do t[#t + 1] = {one} end return t"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(text=SCRIPTS | st.lists(PIECES, max_size=8).map(" ".join) | st.text(), data=st.dictionaries(st.text("ab"), JSON))
def test_any_text_on_any_data_gives_an_answer_or_a_plain_error(box: Sandbox, text: str, data: Any) -> None:
    with suppress(ConfigError):
        script = compile_lua(text, box)
        assert isinstance(script.passes(json.dumps(data)), bool)
        assert isinstance(json.loads(script.transform(json.dumps(data))), dict | list)


def _through(value: Any) -> Any:
    """What upstream's tables keep of a value."""
    if isinstance(value, dict):
        return {key: _through(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_through(one) for one in value if one is not None and not isinstance(one, list)] or {}
    return value


@settings(deadline=None)
@given(data=st.dictionaries(st.text(), JSON))
def test_what_goes_through_unchanged_loses_only_what_upstream_loses(box: Sandbox, data: dict[str, Any]) -> None:
    out = json.loads(compile_lua("return event", box).transform(json.dumps(data)), parse_int=float)

    assert out == _through(json.loads(json.dumps(data), parse_int=float))
