"""The process that runs jq and Lua: started by `sandbox`, as a plain script, with nothing but two pipes and a limit.

    python -I -S sandbox_worker.py '{"paths": [...], "memory": bytes, "deadline": seconds, "result": bytes}'

It reads frames from stdin and answers each on stdout; end of file ends it. A frame is a length (4 bytes, big endian),
one byte that says what it is, and the rest:

    in   J text                  a jq program to keep            out  o          kept, under its sha256
         L text                  a Lua script to keep                 e message  cannot be compiled
         j sha256 data           jq: data -> first output             o text     the answer
         f sha256 data           Lua filter: data -> "true"/""        e message  it failed
         t sha256 data           Lua transform: data -> output        n          that program is not kept: send it first

It imports nothing of ours, opens nothing after it has started (no files are allowed to it), has no environment and no
clock. A call that computes for longer than the deadline dies by SIGPROF, one that takes too much memory dies where it
asks for more; `sandbox` sees the end of the pipe and starts the next one. Each Lua call has a new interpreter, so
nothing can be carried from one event to the next.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from typing import Any, cast

KEPT = 256
"""Programs that are kept compiled; the one that was used longest ago goes first."""
MAX_INDEX = 1 << 26
"""From here on gopher-lua keeps a number as a key like any other, and so the table is no array."""
OUT_OF_MEMORY = 77
"""Exit code."""

_HEAD = struct.Struct("!IB")
_DIGEST = 32
_LONG_NUMBER = re.compile(r"\d{16}")

JQ_BEFORE = " ".join(
    f'def {name}: error("{name.partition("(")[0]} is not available: {why}");'
    for name, why in {
        "now": "the same event must give the same answer at a replay",
        "halt": "a transform ends with its first output",
        "halt_error": "a transform ends with its first output",
        "halt_error($code)": "a transform ends with its first output",
        "input": "there is one event",
    }.items()
)
"""In front of each program, in a line of its own: what reaches out of the program is an error that says so. (A program
that halts would also leave libjq's state halted for the next event.) `import` must stand before it: there is none."""

LUA_BEFORE = b"""
jit.off()
math.randomseed(0)
local metatable_of, get, text, floor, write = debug.getmetatable, rawget, tostring, math.floor, string.format
local step, sort, kind, fail = next, table.sort, type, error

local function set(names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = true end
  return out
end
local keep = set("_G _VERSION assert error getfenv getmetatable ipairs pcall rawequal rawget rawset select "
  .. "setfenv setmetatable tonumber type unpack xpcall coroutine math string table")
for name in step, package.preload do package.preload[name] = nil end
for name in step, package.loaded do package.loaded[name] = nil end
for name in step, _G do if not keep[name] then _G[name] = nil end end
string.dump = nil

function print() end

function tostring(value, ...)
  if kind(value) == "number" and value == floor(value) and value > -2^53 and value < 2^53 then
    return write("%d", value)
  end
  return text(value, ...)
end

local function keys(table)
  local numbers, strings, others = {}, {}, {}
  for key in step, table do
    local list = kind(key) == "number" and numbers or kind(key) == "string" and strings or others
    list[#list + 1] = key
  end
  sort(numbers)
  sort(strings)
  for i = 1, #strings do numbers[#numbers + 1] = strings[i] end
  for i = 1, #others do numbers[#numbers + 1] = others[i] end
  return numbers
end

function pairs(table)
  if kind(table) ~= "table" then
    fail("bad argument #1 to 'pairs' (table expected, got " .. kind(table) .. ")", 2)
  end
  local list, at = keys(table), 0
  return function()
    local key, value
    repeat
      at = at + 1
      key = list[at]
      value = key ~= nil and get(table, key)
    until key == nil or value ~= nil
    return key, value
  end, table, nil
end

function next(table, key)
  if kind(table) ~= "table" then
    fail("bad argument #1 to 'next' (table expected, got " .. kind(table) .. ")", 2)
  end
  local list = keys(table)
  local at = key == nil and 0 or nil
  for i = 1, at and 0 or #list do
    if list[i] == key then at = i end
  end
  if not at then fail("invalid key to 'next'", 2) end
  local following = list[at + 1]
  if following == nil then return nil end
  return following, get(table, following)
end

return function(table)
  local metatable = metatable_of(table)
  return metatable ~= nil and get(metatable, "__is_array") == true
end
"""
"""Only what computes is left, and what it computes is the same each time: random numbers, and the order of `pairs` and
`next` (numbers, then strings, each sorted; LuaJIT's own is another in each process). `tostring` writes whole numbers as
gopher-lua does."""

_GONE = re.compile(r"global '(os|io|require|package|debug|load\w*|dofile|collectgarbage|module|bit|jit)'")


class _Wrong(Exception):
    """The program or what came out of it cannot be used; the text is for the user."""


# --- jq ---------------------------------------------------------------------------------------------------------------


def keep_jq(text: str) -> Any:
    try:
        return jq.compile(f"{JQ_BEFORE}\n{text}")
    except ValueError as error:
        raise _Wrong(_jq_message(str(error))) from None


def _jq_message(text: str) -> str:
    """`jq: error: ... at <top-level>, line 2, column 3: ...` -> `line 1, column 3: ...`"""
    found = re.search(r"jq: error: (.*?) at <top-level>, line (\d+), column (\d+)", text, re.DOTALL)
    if not found:
        return text.removeprefix("jq: error: ").partition("\n")[0]
    what = found[1]
    if re.search(r"unexpected (import|include|module)", what):
        what = "modules are not available: a program is one text"
    return f"line {int(found[2]) - 1}, column {found[3]}: {what}"


def run_jq(program: Any, data: bytes) -> str:
    if data[:1] != b"{" and data != b"null":
        raise _Wrong("the event's data is not a JSON object")
    try:
        value = next(iter(program.input_text(data.decode())))
    except StopIteration:
        raise _Wrong("no output available from the jq command execution") from None
    except ValueError as error:
        raise _Wrong(f"jq transformation output must be a JSON object, and it failed: {error}") from None
    if not isinstance(value, dict):
        raise _Wrong(f"jq transformation output must be a JSON object, not {_kind(value)}")
    out = _dump(value)
    return _dump(_rounded(value)) if _LONG_NUMBER.search(out) else out


def _kind(value: object) -> str:
    names = {"NoneType": "null", "bool": "a boolean", "str": "a string", "list": "an array"}
    return names.get(type(value).__name__, "a number")


def _rounded(value: Any) -> Any:
    """All numbers as upstream writes them, who has only float64."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_rounded(one) for one in cast("list[Any]", value)]
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def number(value: float) -> float:
    """A whole number below 1e21 is written without a point, with the digits that float64 can tell apart."""
    value = float(value)
    if value.is_integer() and abs(value) < 1e21:
        return int(value) if abs(value) <= 1 << 53 else int(Decimal(repr(value)))
    return value


def _dump(value: Any) -> str:
    """Keys are sorted, as Go writes them."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except ValueError:
        raise _Wrong("a number in the output is NaN or infinite: JSON has no such thing") from None


# --- Lua --------------------------------------------------------------------------------------------------------------


def keep_lua(text: str) -> bytes:
    """The script as it is: it is compiled for each call, in a state of its own (10 µs)."""
    _lua_chunk(_lua_state(), script := text.encode("utf-8", "replace"))
    return script


def _lua_state() -> Any:
    runtime: Any = lua.LuaRuntime  # compiled: it has no signature to read
    return runtime(
        encoding=None,
        register_eval=False,
        register_builtins=False,
        unpack_returned_tuples=False,
        attribute_filter=_no_attributes,
        max_memory=LIMITS["memory"] // 2,
    )


def ready_state() -> tuple[Any, Callable[[Any], bool]]:
    """A new state that can only compute, and its test for `__is_array`."""
    state = _lua_state()
    return state, state.execute(LUA_BEFORE)


def _no_attributes(_object: object, _name: object, _setting: bool) -> object:
    raise AttributeError("no attribute of anything is reachable")


def _lua_chunk(state: Any, script: bytes) -> Any:
    try:
        return state.compile(script, name=b"=script", mode=b"t")
    except lua.LuaError as error:
        raise _Wrong(_lua_message(error)) from None


def _lua_message(error: Exception) -> str:
    """`script:2: unexpected symbol near 'x'`; no traceback, whose addresses are others each time."""
    what = error.args[0] if error.args else ""
    text = what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)
    text = text.partition("\nstack traceback")[0].strip()
    text = re.sub(r"^script:(\d+): ", r"line \1: ", text)
    gone = _GONE.search(text)
    return f"{text}; scripts have no '{gone[1]}'" if gone else text or "the script raised an error that is no text"


def run_lua(script: bytes, data: bytes) -> tuple[Any, Callable[[Any], bool]]:
    """What the script returned last, and the test for `__is_array`."""
    event = json.loads(data, parse_constant=_no_constant)
    if not isinstance(event, dict | None):
        raise _Wrong("the event's data is not a JSON object")
    state, is_array = spare.pop() if spare else ready_state()
    try:
        state.globals()[b"event"] = state.table_from(_members(event or {}), recursive=True)
        out = _lua_chunk(state, script)()
    except lua.LuaMemoryError:
        raise _Wrong(f"the script takes more than {LIMITS['memory'] // 2 >> 20} MiB of memory") from None
    except lua.LuaError as error:
        raise _Wrong(_lua_message(error)) from None
    return out[-1] if isinstance(out, tuple) else out, is_array


def _no_constant(name: str) -> None:
    raise _Wrong(f"the event's data is no JSON: {name}")


def _members(event: dict[str, Any]) -> dict[bytes, Any]:
    """As upstream: nulls are left out."""
    return {_bytes(key): _to_lua(value) for key, value in event.items() if value is not None}


def _to_lua(value: Any) -> Any:
    if isinstance(value, str):
        return _bytes(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return _members(cast("dict[str, Any]", value))
    if isinstance(value, list):
        # As upstream: nulls and lists within lists are left out, and what follows moves up.
        return [_to_lua(one) for one in cast("list[Any]", value) if one is not None and not isinstance(one, list)]
    return float(value)


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return re.sub("[\ud800-\udfff]", "\ufffd", text).encode()


def from_lua(value: Any, is_array: Callable[[Any], bool]) -> Any:
    """A Lua value as upstream writes it: a table with whole keys from 1 is an array up to the last, with nulls."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    if value is None or isinstance(value, bool):
        return value
    if (kind := lua.lua_type(value)) != "table":
        raise _Wrong(f"a {kind} cannot be part of the output")
    items: list[tuple[Any, Any]] = list(value.items())
    last = max((key for key, _ in items if type(key) is int and 0 < key < MAX_INDEX), default=0)
    if not last and not is_array(value):
        return {_key(key): from_lua(one, is_array) for key, one in items}
    if last > LIMITS["result"]:
        raise _Wrong(f"the output has an array with index {last}: more than a result may hold")
    out: list[Any] = [None] * last
    for key, one in items:
        if type(key) is int and 0 < key <= last:
            out[key - 1] = from_lua(one, is_array)
    return out


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, bytes | int | float):
        return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(number(key))
    raise _Wrong(f"a {lua.lua_type(key)} cannot be a key in the output")


def run_filter(script: bytes, data: bytes) -> str:
    return "true" if run_lua(script, data)[0] is True else ""


def run_transform(script: bytes, data: bytes) -> str:
    value, is_array = run_lua(script, data)
    if lua.lua_type(value) != "table":
        raise _Wrong("transformation script output type is not of lua table")
    return _dump(from_lua(value, is_array))


# --- frames -----------------------------------------------------------------------------------------------------------

KEEP: dict[bytes, Callable[[str], Any]] = {b"J": keep_jq, b"L": keep_lua}
RUN: dict[bytes, Callable[[Any, bytes], str]] = {b"j": run_jq, b"f": run_filter, b"t": run_transform}
kept: OrderedDict[bytes, Any] = OrderedDict()
spare: list[tuple[Any, Callable[[Any], bool]]] = []
"""A state for the next Lua call, made while nobody waits (60 µs of 120)."""


def answer(what: bytes, rest: bytes) -> tuple[bytes, bytes]:
    """One frame in, one frame out.

    Raises:
        MemoryError: and then nothing of this process is to be trusted any more.
    """
    try:
        if what in KEEP:
            kept[sha256(what + rest).digest()] = KEEP[what](rest.decode())
            if len(kept) > KEPT:
                kept.popitem(last=False)
            return b"o", b""
        digest = rest[:_DIGEST]
        if digest not in kept:
            return b"n", b""
        kept.move_to_end(digest)
        out = RUN[what](kept[digest], rest[_DIGEST:]).encode()
    except _Wrong as wrong:
        return b"e", str(wrong).encode("utf-8", "replace")[: LIMITS["result"]]
    except RecursionError:
        return b"e", b"the data is nested too deep"
    except (ValueError, OverflowError, UnicodeError) as error:
        return b"e", f"the event's data cannot be used: {error}".encode("utf-8", "replace")[: LIMITS["result"]]
    if len(out) > LIMITS["result"]:
        return b"e", f"the result has {len(out)} bytes: more than {LIMITS['result']}".encode()
    return b"o", out


def serve() -> None:
    while head := _read(_HEAD.size):
        size, what = _HEAD.unpack(head)
        rest = _read(size)
        signal.setitimer(signal.ITIMER_PROF, LIMITS["deadline"])
        status, out = answer(bytes((what,)), rest)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(_HEAD.pack(len(out), status[0]) + out)
        if not spare and what in b"ft":
            spare.append(ready_state())


def _read(size: int) -> bytes:
    """That many bytes; empty at the end of the pipe."""
    out = bytearray()
    while len(out) < size:
        some = os.read(0, min(size - len(out), 1 << 20))
        if not some:
            os._exit(0)
        out += some
    return bytes(out)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def close_the_doors() -> None:
    """No files, no processes, no core dumps, no environment, and no more memory than what was said."""
    os.environ.clear()
    memory = LIMITS["memory"]
    for name, value in {"AS": memory, "NOFILE": 0, "NPROC": 0, "FSIZE": 0, "CORE": 0}.items():
        limit = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(limit)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(limit, (most, most))
        except ValueError:
            if name != "AS":  # macOS knows no such limit: there, Lua's own and the deadline have to do
                raise


if __name__ == "__main__":
    LIMITS: dict[str, Any] = json.loads(sys.argv[1])
    sys.path.extend(LIMITS["paths"])
    import jq
    from lupa import luajit21 as lua

    _lua_state()
    keep_jq(".").input_text("{}").first()
    close_the_doors()
    _write(_HEAD.pack(0, ord("r")))
    try:
        serve()
    except (MemoryError, lua.LuaMemoryError):
        os._exit(OUT_OF_MEMORY)
