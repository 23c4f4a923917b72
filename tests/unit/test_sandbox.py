"""The process for jq and Lua: what it cannot do, how it is ended and replaced, and that nobody notices."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrain.errors import ConfigError, Transient
from retrain.expressions import sandbox as module
from retrain.expressions.jq_program import compile_jq
from retrain.expressions.lua_script import compile_lua
from retrain.expressions.sandbox import MAX_PROGRAM, Program, Sandbox, SandboxError, SandboxLimits

linux = pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")

SHORT = SandboxLimits(deadline=0.15, memory=128 << 20)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    sandbox = Sandbox(SHORT)
    yield sandbox
    sandbox.close()


def _pid(box: Sandbox) -> int:
    assert box.pid is not None
    return box.pid


# --- limits -----------------------------------------------------------------------------------------------------------

LONG: list[tuple[str, Callable[[Sandbox], object]]] = [
    ("jq recursion", lambda box: compile_jq("def f: f; f", box).transform("{}")),
    ("jq range", lambda box: compile_jq("last(range(1e10))", box).transform("{}")),
    ("jq repeat", lambda box: compile_jq("last(repeat(1))", box).transform("{}")),
    ("lua loop", lambda box: compile_lua("while true do end", box).passes("{}")),
    ("lua loop that catches", lambda box: compile_lua("while true do pcall(error) end", box).passes("{}")),
    ("lua coroutine", lambda box: compile_lua("coroutine.wrap(function() while true do end end)()", box).passes("{}")),
    ("lua pattern", lambda box: compile_lua("return ('a'):rep(3e4):find(('.-'):rep(20) .. 'b')", box).passes("{}")),
    (
        "lua table that grows",
        lambda box: compile_lua("t = {} for i = 1, 60 do t = {t, t} end return t", box).transform("{}"),
    ),
]


@pytest.mark.parametrize("call", [call for _, call in LONG], ids=[name for name, _ in LONG])
def test_what_computes_too_long_is_stopped_and_the_next_call_works(
    box: Sandbox, call: Callable[[Sandbox], object]
) -> None:
    with pytest.raises(SandboxError, match=r"computed for more than 0\.15 s and was stopped"):
        call(box)

    assert compile_jq("{a: 1}", box).transform("{}") == '{"a":1}'


LARGE: list[tuple[str, Callable[[Sandbox], object]]] = [
    ("jq array", lambda box: compile_jq("[range(1e10)]", box).transform("{}")),
    ("jq string", lambda box: compile_jq('"x" * 1e9', box).transform("{}")),
    ("jq depth", lambda box: compile_jq("reduce range(1e7) as $i (.; {a: .})", box).transform("{}")),
    ("jq recursion that is no loop", lambda box: compile_jq("def f: 1 + f; f", box).transform("{}")),
    ("lua string", lambda box: compile_lua("return ('x'):rep(1e9)", box).passes("{}")),
    ("lua table", lambda box: compile_lua("t = {} for i = 1, 1e9 do t[i] = 'x' .. i end", box).passes("{}")),
    (
        "lua coroutines",
        lambda box: compile_lua("local function f() return coroutine.wrap(f)() end return f()", box).passes("{}"),
    ),
    ("lua recursion", lambda box: compile_lua("local function f() return 1 + f() end return f()", box).passes("{}")),
]


@pytest.mark.parametrize("call", [call for _, call in LARGE], ids=[name for name, _ in LARGE])
def test_what_takes_too_much_memory_fails_and_the_next_call_works(call: Callable[[Sandbox], object]) -> None:
    box = Sandbox(SandboxLimits(memory=64 << 20, deadline=5))

    with pytest.raises(SandboxError, match=r"memory|stack|deep"):
        call(box)

    assert compile_lua("return true", box).passes("{}") is True
    box.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda box: compile_jq('{a: ("x" * 1e7)}', box).transform("{}"),
        lambda box: compile_lua("return {('x'):rep(1e7)}", box).transform("{}"),
        lambda box: compile_lua("return {[60000000] = 1}", box).transform("{}"),
    ],
    ids=["jq string", "lua string", "lua array"],
)
def test_a_result_that_is_too_large_is_refused_and_its_process_lives_on(call: Callable[[Sandbox], object]) -> None:
    box = Sandbox()
    compile_jq(".", box)
    before = _pid(box)

    with pytest.raises(SandboxError, match="more than"):
        call(box)

    assert box.pid == before
    box.close()


def test_large_data_goes_through_the_pipes(box: Sandbox) -> None:
    data = '{"list": [' + ",".join(["1"] * 200_000) + "]}"

    assert compile_jq("{n: (.list | length)}", box).transform(data) == '{"n":200000}'


def test_a_program_that_is_too_long_is_refused(box: Sandbox) -> None:
    for compile_it in (compile_jq, compile_lua):
        with pytest.raises(ConfigError, match="characters: more than"):
            compile_it(" " * (MAX_PROGRAM + 1), box)


def test_half_a_character_in_a_program_is_refused(box: Sandbox) -> None:
    with pytest.raises(ConfigError, match="half a character at offset 1"):
        compile_jq('"\ud800"', box)


# --- the process ------------------------------------------------------------------------------------------------------


@linux
def test_the_process_has_no_files_no_environment_and_a_session_of_its_own(box: Sandbox) -> None:
    compile_jq(".", box)
    proc = Path(f"/proc/{box.pid}")

    limits = {line[:25].strip(): line[26:].split()[0] for line in (proc / "limits").read_text().splitlines()}
    assert limits["Max open files"] == limits["Max processes"] == limits["Max file size"] == "0"
    assert limits["Max address space"] == str(SHORT.memory)
    assert (proc / "environ").read_bytes().replace(b"\0", b"") == b""
    assert sorted(fd.name for fd in (proc / "fd").iterdir()) == ["0", "1", "2"]
    assert os.getsid(_pid(box)) == box.pid
    assert compile_jq("{e: env, f: $ENV}", box).transform("{}") == '{"e":{},"f":{}}'


def test_a_process_that_is_killed_from_outside_is_replaced_without_a_word(box: Sandbox) -> None:
    program = compile_jq("{a: .a}", box)
    for _ in range(3):
        before = _pid(box)
        os.kill(before, signal.SIGKILL)

        assert program.transform('{"a": 1}') == '{"a":1}'
        assert box.pid != before


def test_a_process_that_stands_still_is_replaced() -> None:
    box = Sandbox(SandboxLimits(patience=0.3))
    program = compile_jq("{a: .a}", box)
    os.kill(_pid(box), signal.SIGSTOP)

    with pytest.raises(SandboxError, match=r"no answer within 0\.3 s"):
        program.transform('{"a": 1}')

    assert program.transform('{"a": 1}') == '{"a":1}'
    box.close()


@linux
def test_the_process_ends_with_its_parent() -> None:
    script = (
        "import os\n"
        "from retrain.expressions.jq_program import compile_jq\n"
        "from retrain.expressions.sandbox import shared\n"
        "compile_jq('.')\n"
        "print(shared().pid, flush=True)\n"
        "os.read(0, 1)\n"
        "os._exit(1)"
    )
    root = Path(module.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        handle = os.pidfd_open(int(parent.stdout.readline()))
        parent.stdin.write(b"x")
        parent.stdin.close()

        assert select.select([handle], [], [], 30)[0], "the worker is still there"
        os.close(handle)


def test_a_child_by_fork_has_a_process_of_its_own() -> None:
    script = (
        "import os\n"
        "from retrain.expressions.jq_program import compile_jq\n"
        "from retrain.expressions.sandbox import shared\n"
        "program = compile_jq('{a: .a}')\n"
        "before, child = shared().pid, os.fork()\n"
        "print(program.transform('{\"a\": 1}'), shared().pid == before, flush=True)\n"
        "if child: os.waitpid(child, 0)\n"
    )
    root = Path(module.__file__).parents[2]
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, cwd=root, timeout=60
    )

    assert out.stderr == ""
    assert sorted(out.stdout.splitlines()) == ['{"a":1} False', '{"a":1} True']


def test_more_programs_than_are_kept_all_work(box: Sandbox) -> None:
    programs = [compile_jq(f"{{a: {n}}}", box) for n in range(300)]

    assert [program.transform("{}") for program in programs] == [f'{{"a":{n}}}' for n in range(300)]


def test_threads_take_turns_and_get_their_own_answers() -> None:
    box = Sandbox(SHORT)
    jq = compile_jq("{n: .n}", box)
    lua = compile_lua("event.n = event.n * 2 return event", box)
    endless = compile_lua("while true do end", box)

    def call(n: int) -> str:
        if n % 40 == 0:
            with pytest.raises(SandboxError, match="was stopped"):
                endless.passes("{}")
        return (lua if n % 2 else jq).transform(f'{{"n": {n}}}')

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(200)))

    assert answers == [f'{{"n":{2 * n if n % 2 else n}}}' for n in range(200)]
    box.close()


def test_a_sandbox_that_does_not_start_is_worth_another_try(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    box = Sandbox()

    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(Transient, match="ended with 3"):
        compile_jq(".", box)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(Transient, match="does not start"):
        compile_jq(".", box)
    monkeypatch.undo()

    assert compile_jq("{a: 1}", box).transform("{}") == '{"a":1}'
    box.close()


def test_a_closed_sandbox_opens_again(box: Sandbox) -> None:
    program = compile_lua("return true", box)
    box.close()
    box.close()

    assert box.pid is None
    assert program.passes("{}") is True


def test_the_same_text_in_two_languages_is_two_programs() -> None:
    assert Program.of("jq", "x").digest != Program.of("lua", "x").digest
