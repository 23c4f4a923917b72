"""What a step prints: two pipes or one, a log with the time, and the end of stdout."""

from __future__ import annotations

import fcntl
import os
import time

RESULT_BYTES = 256 * 1024
CHUNK = 64 * 1024
LONGEST_LINE = 16 * 1024

_NARROW = 4096
_FLOOD = 64


class Log:
    """`main.log`: a line for each line of the step, `<moment> <stream> <F|P> <text>`. P: the line goes on in the next
    entry of the stream. `home` is the descriptor of its directory; the log's own is put with those that are `opened`
    for the step. A disk that is full loses lines and nothing else; `trouble` says so."""

    def __init__(self, home: int, opened: list[int]) -> None:
        self._home = home
        self._opened = opened
        self._file = -1
        self._partial: dict[bytes, bytes] = {}
        self._torn = False
        self.speaker = b""
        self.trouble = ""

    @property
    def opened(self) -> bool:
        """Whether there is a file."""
        return self._file >= 0

    def has_partial(self) -> bool:
        return bool(self._partial)

    def feed(self, stream: bytes, data: bytes) -> None:
        """Take what came on a stream. Whole lines are written at once, the start of one waits for its end."""
        self.speaker = stream
        data = self._partial.pop(stream, b"") + data
        cut = data.rfind(b"\n") + 1
        prefix = b"%s %s " % (moment(time.time()).encode(), stream)
        whole, rest = data[:cut], data[cut:]
        text = b""
        if whole:
            full = prefix + b"F "
            text = full + whole[:-1].replace(b"\n", b"\n" + full) + b"\n"
        if len(rest) > LONGEST_LINE:
            text += prefix + b"P " + rest + b"\n"
        elif rest:
            self._partial[stream] = rest
        if text:
            self._write(text)

    def end_partial(self) -> None:
        """Write what waits for the end of its line, as it is."""
        waiting, self._partial = self._partial, {}
        for stream, rest in waiting.items():
            self._write(b"%s %s P %s\n" % (moment(time.time()).encode(), stream, rest))

    def _write(self, text: bytes) -> None:
        try:
            if self._file < 0:
                # Not before there is a line: many a step says nothing, and a file costs what starting it costs.
                self._file = os.open("main.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640, dir_fd=self._home)
                self._opened.append(self._file)
            if self._torn:
                write_all(self._file, b"\n")
                self._torn = False
            write_all(self._file, text)
        except OSError as error:
            self._torn = True
            self.trouble = f"its log could not be written: {error.strerror}"


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Stream:
    """The read end of what the step prints to.

    One pipe for both of stdout and stderr keeps their order by itself. Where stdout is wanted apart, there are two
    narrow ones: a pipe that holds one write at a time makes a step that changes between them wait until the first was
    taken, and epoll names them in the order in which they were written to. One that floods is widened, until the
    other speaks.
    """

    def __init__(self, name: bytes, narrow: bool, keep_tail: bool) -> None:
        self.name = name
        self.narrow = narrow
        self.tail = bytearray()
        self._keep_tail = keep_tail
        self._wide = False
        self._in_a_row = 0
        if narrow:
            self.read_end, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_DIRECT)
            os.set_blocking(self.read_end, False)
            self._resize(_NARROW)
        else:
            self.read_end, self.write_end = os.pipe()

    def take(self, log: Log, hung_up: bool) -> bool:
        """Read what is there; whether there may be more."""
        if not self.narrow:
            return self._read(log) > 0
        if self._wide or hung_up:
            while (size := self._read(log)) > 0:
                pass
        else:
            size = self._read(log)
        flood = self._in_a_row > _FLOOD
        if self._wide != flood and self._resize(CHUNK if flood else _NARROW):
            self._wide = flood
        return size != 0

    def _read(self, log: Log) -> int:
        """How many bytes there were; 0 at the end, -1 for nothing now."""
        try:
            data = os.read(self.read_end, CHUNK)
        except BlockingIOError:
            return -1
        if data:
            self._in_a_row = self._in_a_row + 1 if log.speaker == self.name else 0
            log.feed(self.name, data)
            if self._keep_tail:
                self.tail += data
                if len(self.tail) > 2 * RESULT_BYTES:
                    del self.tail[:-RESULT_BYTES]
        return len(data)

    def _resize(self, size: int) -> bool:
        try:
            fcntl.fcntl(self.read_end, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            return False
        return True


def open_streams(capture: bool) -> list[Stream]:
    if not capture:
        return [Stream(b"both", narrow=False, keep_tail=False)]
    return [Stream(b"stdout", narrow=True, keep_tail=True), Stream(b"stderr", narrow=True, keep_tail=False)]


def moment(at: float) -> str:
    seconds = int(at)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int((at - seconds) * 1e6):06d}Z"
