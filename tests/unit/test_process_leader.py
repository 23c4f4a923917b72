"""What a leader does for its step: the exit record, the log, the result, and the end of what is left."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pipelines.local import process
from pipelines.local.logs import lines, read_all
from pipelines.local.process import Command
from tests.unit.leaders import PATIENCE_S, Bench, await_end, open_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        yield bench


def eventually(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)


def log_of(home: Path) -> str:
    return "".join(read_all(home / "main.log"))


def gone(home: Path) -> bool:
    """Whether nobody leads the step of a home any more."""
    leader = process.attach(home)
    if leader is not None:
        leader.let_go()
    return leader is None


def running(home: Path) -> list[int]:
    """Processes that work in a home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink() == home and (entry / "stat").read_text().rpartition(")")[2].split()[
                    0
                ] != "Z":
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize(
    ("source", "code", "number"),
    [("exit 0", 0, None), ("exit 3", 3, None), ("kill -KILL $$", 137, 9), ("kill -TERM $$", 143, 15)],
)
def test_the_exit_record_says_how_a_step_ended(bench: Bench, source: str, code: int, number: int | None) -> None:
    ending = bench.shell(bench.home(), source)

    assert ending is not None
    assert (ending.code, ending.signal, ending.began, ending.trouble) == (code, number, True, "")
    assert ending.started <= ending.finished


def test_the_exit_record_measures_time_and_memory(bench: Bench) -> None:
    source = "x = bytearray(80_000_000); sum(range(3_000_000))"
    ending = bench.run(bench.home(), sys.executable, "-I", "-c", source)

    assert ending is not None
    assert ending.cpu_s > 0.01
    assert 80_000_000 < ending.peak_bytes < 300_000_000


@pytest.mark.parametrize("wrong", ["missing", "no_program", "not_executable"])
def test_a_program_that_cannot_be_started_ends_with_64_and_the_reason(bench: Bench, wrong: str) -> None:
    home = bench.home()
    program = home / "program"
    if wrong != "missing":
        program.write_bytes(b"\x00\x01 no program")
        program.chmod(0o755 if wrong == "no_program" else 0o644)

    ending = bench.run(home, str(program))

    assert ending is not None
    assert (ending.code, ending.began) == (64, False)
    reason = {
        "missing": "no such file or directory",
        "no_program": "exec format error",
        "not_executable": "permission denied",
    }
    assert ending.trouble == f"fork/exec {program}: {reason[wrong]}"


def test_arguments_that_are_too_long_are_the_steps_trouble_and_not_the_leaders(bench: Bench) -> None:
    ending = bench.run(bench.home(), "/bin/true", "x" * 3_000_000)
    assert ending is not None
    assert "argument list too long" in ending.trouble
    assert bench.run(bench.home(), "/bin/true") is not None


def test_a_nul_character_is_refused_before_anything_starts(bench: Bench) -> None:
    home = bench.home()
    with pytest.raises(ValueError, match="null byte"):
        bench.run(home, "/bin/echo", "a\0b")
    assert not process.began(home)


def test_a_home_is_led_once(bench: Bench) -> None:
    home = bench.home()
    bench.shell(home, "echo one >> ran")
    with pytest.raises(FileExistsError):
        bench.start(home, "/bin/sh", "-c", "echo two >> ran")
    assert (home / "ran").read_text() == "one\n"
    assert process.ending(home) is not None


@pytest.mark.parametrize("capture", [False, True])
def test_the_log_keeps_the_order_of_stdout_and_stderr(bench: Bench, capture: bool) -> None:
    home = bench.home()
    source = "i=0; while [ $i -lt 500 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done"
    bench.shell(home, source, capture=capture)

    expected = [f"{stream}{i}" for i in range(500) for stream in "oe"]
    assert log_of(home).split() == expected


def test_where_a_result_is_wanted_the_log_names_the_stream(bench: Bench) -> None:
    home = bench.home()
    bench.shell(home, "echo out; echo err >&2; echo out again", capture=True)

    found = [(line.stream, line.text) for line in lines(home / "main.log")]
    assert found == [("stdout", "out"), ("stderr", "err"), ("stdout", "out again")]
    assert (home / "stdout.log").read_text() == "out\nout again\n"


def test_the_log_is_what_the_step_wrote_byte_for_byte_of_text(bench: Bench) -> None:
    home = bench.home()
    text = "\n".join(random.Random(7).choice(["", " ", "ü" * 40, "x" * 100_000, "\ttab", "F P"]) for _ in range(60))
    (home / "text").write_text(text)
    bench.run(home, "/bin/cat", str(home / "text"))
    assert log_of(home) == text


def test_binary_and_endless_lines_do_no_harm(bench: Bench) -> None:
    home = bench.home()
    ending = bench.shell(home, "head -c 3000000 /dev/zero; head -c 100000 /dev/urandom; echo; echo after", capture=True)
    assert ending is not None
    assert ending.code == 0
    assert log_of(home).endswith("after\n")
    assert all(len(line.text) <= 128 * 1024 for line in lines(home / "main.log"))


def test_a_start_of_a_line_is_shown_before_its_end_comes(bench: Bench) -> None:
    home, word = bench.home(), None
    word = home / "word"
    os.mkfifo(word)
    leader = bench.start(home, "/bin/sh", "-c", f"printf 'Proceed? '; read x < {word}; echo $x")

    eventually(lambda: log_of(home) == "Proceed? ", "the prompt is there")
    word.write_text("yes\n")
    bench.finish(home, leader)

    assert log_of(home) == "Proceed? yes\n"


def test_much_output_costs_flat_memory_and_keeps_its_end(bench: Bench) -> None:
    home = bench.home()
    leader = bench.start(home, "/bin/sh", "-c", "yes 0123456789abcde | head -c 100000000; echo the end", capture=True)
    number = int((home / "pid").read_text().split()[1])
    peak = 0
    while not leader.ended():
        peak = max(peak, _private_kb(number))
        time.sleep(0.02)
    bench.finish(home, leader)

    assert (home / "stdout.log").stat().st_size == 256 * 1024
    assert (home / "stdout.log").read_bytes().endswith(b"\nthe end\n")
    assert (home / "main.log").stat().st_size > 100_000_000
    assert 0 < peak < 8_000


def _private_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def test_a_leader_is_small(bench: Bench) -> None:
    home = bench.home()
    leader = bench.start(home, "/bin/sleep", "1000")
    private = _private_kb(int((home / "pid").read_text().split()[1]))
    leader.signal_group(signal.SIGKILL)
    bench.finish(home, leader)
    assert 0 < private < 3_000


@pytest.mark.parametrize("way", ["background", "setsid", "double_fork"])
def test_nothing_that_a_step_leaves_lives_on(bench: Bench, way: str) -> None:
    home = bench.home()
    source = {
        "background": "sleep 1000 & echo started",
        "setsid": "setsid sleep 1000 & sleep 0.1",
        "double_fork": "(setsid sh -c 'trap : TERM; (sleep 1000 & sleep 1000) & sleep 1000' &) ; sleep 0.1",
    }[way]
    ending = bench.shell(home, source, capture=True)
    assert ending is not None
    assert ending.code == 0
    assert running(home) == []


def test_a_step_that_closes_its_output_goes_on(bench: Bench) -> None:
    home = bench.home()
    ending = bench.shell(home, "echo before; exec >&- 2>&-; sleep 0.2; exit 5", capture=True)
    assert ending is not None
    assert ending.code == 5
    assert log_of(home) == "before\n"


def test_sigkill_ends_a_step_that_ignores_sigterm_and_the_leader_notes_it(bench: Bench) -> None:
    home = bench.home()
    leader = bench.start(home, "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    eventually(lambda: "ready" in log_of(home), "the step is deaf")

    leader.signal_group(signal.SIGTERM)
    time.sleep(0.1)
    assert not leader.ended()
    leader.signal_group(signal.SIGKILL)
    ending = bench.finish(home, leader)

    assert ending is not None
    assert (ending.code, ending.signal) == (137, 9)


def test_sigterm_reaches_the_whole_group(bench: Bench) -> None:
    home = bench.home()
    leader = bench.start(home, "/bin/sh", "-c", "trap 'echo parent; exit 9' TERM; sleep 1000 & echo ready; wait")
    eventually(lambda: "ready" in log_of(home), "it waits")
    leader.signal_group(signal.SIGTERM)
    ending = bench.finish(home, leader)
    assert ending is not None
    assert ending.code == 9
    assert "parent" in log_of(home)


def test_the_environment_of_a_step_is_what_it_was_given(bench: Bench) -> None:
    home = bench.home()
    bench.run(home, "/usr/bin/env", env={"A": "b c", "ÜML": "ä\n"})
    assert sorted(log_of(home).splitlines()) == ["", "A=b c", "ÜML=ä"]


def test_a_step_starts_with_the_default_signals_and_no_foreign_descriptors(bench: Bench) -> None:
    home = bench.home()
    bench.shell(home, "grep -E '^Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd")
    words = log_of(home).split()
    # Up to 31: what the C library does with its own, 32 and 33, is inherited from whoever runs the tests.
    assert [int(word, 16) & 0x7FFFFFFF for word in (words[1], words[3])] == [0, 0]
    assert set(words[4:]) <= {"0", "1", "2", "3"}, "3 is the directory that ls reads"


def test_leaders_are_used_again(bench: Bench) -> None:
    homes = [bench.home() for _ in range(5)]
    for home in homes:
        bench.shell(home, "true")
    assert len({(home / "pid").read_text().split()[1] for home in homes}) == 1


def test_a_killed_spawner_is_replaced_and_its_leaders_go_on(bench: Bench) -> None:
    first, second = bench.home(), bench.home()
    os.mkfifo(first / "word")
    leader = bench.start(first, "/bin/sh", "-c", "read x < word; echo $x")
    spawner = _parent(int((first / "pid").read_text().split()[1]))
    os.kill(spawner, signal.SIGKILL)

    assert bench.shell(second, "echo second") is not None
    (first / "word").write_text("still here\n")
    ending = bench.finish(first, leader)

    assert ending is not None
    assert (log_of(first), log_of(second)) == ("still here\n", "second\n")


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_an_idle_leader_that_was_killed_is_replaced(bench: Bench) -> None:
    first, second = bench.home(), bench.home()
    bench.shell(first, "true")
    os.kill(int((first / "pid").read_text().split()[1]), signal.SIGKILL)
    assert bench.shell(second, "true") is not None


def test_a_step_whose_leader_was_killed_has_not_ended(bench: Bench) -> None:
    home = bench.home()
    leader = bench.start(home, "/bin/sh", "-c", "echo s3://models/1; exec sleep 1000", capture=True)
    eventually(lambda: "models" in log_of(home), "it spoke")
    os.kill(int((home / "pid").read_text().split()[1]), signal.SIGKILL)
    await_end(leader)
    leader.close()
    assert process.ending(home) is None
    eventually(partial(gone, home), "the leader is off the process table")
    os.kill(leader.pid, signal.SIGKILL)


async def test_a_step_is_found_again_when_its_platform_has_gone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.mkfifo(home / "word")
    with open_bench(tmp_path) as gone:
        gone.start(home, "/bin/sh", "-c", "read x < word; echo $x; exit 4").let_go()

    leader = process.attach(home)
    assert leader is not None
    assert process.ending(home) is None
    (home / "word").write_text("found\n")
    await leader.wait()
    leader.close()
    ending = process.ending(home)

    assert ending is not None
    assert ending.code == 4
    assert log_of(home) == "found\n"
    assert process.attach(home) is None


def test_killed_at_any_moment_a_step_never_runs_twice(bench: Bench) -> None:
    """Whoever finds no exit record and no living leader starts it anew; whoever finds one does not."""
    moments = random.Random(11)
    for _ in range(15):
        home = bench.home()
        marks = home.parent / f"{home.name}.ran"
        leader = bench.start(home, "/bin/sh", "-c", f"echo $$ >> {marks}; sleep 0.01; echo done >> {marks}")
        time.sleep(moments.random() * 0.03)
        with (home / "pid").open() as file:
            os.kill(int(file.read().split()[1]), signal.SIGKILL)
        await_end(leader)
        leader.close()
        if process.ending(home) is None:
            eventually(partial(gone, home), "the leader is off the process table")
            with pytest.raises(FileExistsError):
                bench.start(home, "/bin/true")
        written = marks.read_text().split() if marks.exists() else []
        assert len([word for word in written if word != "done"]) <= 1


def test_a_full_disk_fails_the_step_and_says_so(bench: Bench, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same place."""
    home = bench.home()
    bench.shell(bench.home(), "true")
    number = int(next(tmp_path.glob("home-*/pid")).read_text().split()[1])
    resource.prlimit(number, resource.RLIMIT_FSIZE, (20_000, 20_000))

    ending = bench.shell(home, "yes | head -c 1000000; exit 0")

    assert ending is not None
    assert ending.code == 0
    assert "its log could not be written: File too large" in ending.trouble


def test_a_home_that_is_not_there_is_an_error_at_once(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bench.spawner.launch(tmp_path / "nowhere", Command(("/bin/true",), {}, tmp_path))


def test_a_working_directory_that_is_not_there_is_named(bench: Bench, tmp_path: Path) -> None:
    home = bench.home()
    leader = bench.spawner.launch(home, Command(("/bin/true",), {}, tmp_path / "nowhere"))
    ending = bench.finish(home, leader)
    assert ending is not None
    assert ending.trouble == f"working directory {tmp_path}/nowhere: no such file or directory"
