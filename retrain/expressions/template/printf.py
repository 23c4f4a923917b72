"""Go's `fmt`: `printf`, `print` and `println`, with their flags and their way to show a wrong verb: `%!d(string=x)`.

Source: https://pkg.go.dev/fmt
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from retrain.expressions.template.show import Parts, show
from retrain.expressions.template.values import Int, Value, is_nil, type_name
from retrain.expressions.template.verbs import Flags, put_argument

MAX_WIDTH: Final = 1_000_000
"""Go's own bound on widths and precisions."""


def sprint(args: Sequence[Value]) -> str:
    """As `fmt.Sprint`: a space between two that are both no text."""
    parts = Parts()
    after_text = True
    for arg in args:
        is_text = isinstance(arg, str)
        if not is_text and not after_text:
            parts.add(" ")
        parts.add(show(arg))
        after_text = is_text
    return parts.text()


def sprintln(args: Sequence[Value]) -> str:
    """As `fmt.Sprintln`: spaces between all, a newline at the end."""
    parts = Parts()
    for at, arg in enumerate(args):
        parts.add(" " + show(arg) if at else show(arg))
    parts.add("\n")
    return parts.text()


def sprintf(form: str, args: Sequence[Value]) -> str:
    """As `fmt.Sprintf`.

    Raises:
        CallError: the text gets too long, or asks for `%p`.
    """
    if "%" not in form:
        return form if not args else form + _extra(args)
    return _Printf(form, args).run()


def _extra(args: Sequence[Value]) -> str:
    shown = ", ".join("<nil>" if is_nil(arg) else f"{type_name(arg)}={show(arg)}" for arg in args)
    return f"%!(EXTRA {shown})"


class _Printf:
    def __init__(self, form: str, args: Sequence[Value]) -> None:
        self._form = form
        self._args = args
        self._at = 0
        self._next = 0
        self._reordered = False
        self._good = True
        self._indexed = False
        self._out = Parts()

    def run(self) -> str:
        form = self._form
        while self._at < len(form):
            start = form.find("%", self._at)
            if start < 0:
                self._out.add(form[self._at :])
                break
            self._out.add(form[self._at : start])
            self._at = start + 1
            self._verb()
        if not self._reordered and self._next < len(self._args):
            self._out.add(_extra(self._args[self._next :]))
        return self._out.text()

    def _peek(self) -> str:
        return self._form[self._at] if self._at < len(self._form) else ""

    def _verb(self) -> None:
        flags = Flags()
        self._good, self._indexed = True, False
        while (char := self._peek()) and char in "#0+- ":
            setattr(flags, {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}[char], True)
            self._at += 1
        self._index()
        self._width(flags)
        self._precision(flags)
        if not self._indexed:
            self._index()
        verb = self._peek()
        self._at += 1
        if not verb:
            self._out.add("%!(NOVERB)")
        elif verb == "%":
            self._out.add("%")
        else:
            self._print(verb, flags)

    def _print(self, verb: str, flags: Flags) -> None:
        if not self._good:
            self._out.add(f"%!{verb}(BADINDEX)")
            return
        if self._next >= len(self._args):
            self._out.add(f"%!{verb}(MISSING)")
            return
        if verb in "vw":
            flags.go_syntax, flags.sharp = flags.sharp, False
            flags.plus = False
        put_argument(self._out, self._args[self._next], verb, flags)
        self._next += 1

    def _index(self) -> None:
        """`[3]`: which argument comes next."""
        if self._peek() != "[":
            return
        self._reordered = True
        end = self._form.find("]", self._at)
        if end < 0:
            self._good = False
            self._at += 1
            return
        digits = self._form[self._at + 1 : end]
        self._at = end + 1
        number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 8 else 0
        self._indexed = number > 0
        if 1 <= number <= len(self._args):
            self._next = number - 1
        else:
            self._good = False

    def _width(self, flags: Flags) -> None:
        if self._peek() == "*":
            self._at += 1
            flags.width = self._number_from_argument()
            if flags.width is None:
                self._out.add("%!(BADWIDTH)")
            elif flags.width < 0:
                flags.width, flags.minus, flags.zero = -flags.width, True, False
            self._indexed = False
            return
        flags.width = self._digits()
        if self._indexed and flags.width is not None:
            self._good = False

    def _precision(self, flags: Flags) -> None:
        if self._peek() != "." or self._at + 1 >= len(self._form):
            return
        self._at += 1
        if self._indexed:
            self._good = False
        self._index()
        if self._peek() == "*":
            self._at += 1
            flags.precision = self._number_from_argument()
            if flags.precision is None or flags.precision < 0:
                flags.precision = None
                self._out.add("%!(BADPREC)")
            self._indexed = False
            return
        flags.precision = self._digits() or 0

    def _digits(self) -> int | None:
        start = self._at
        while (char := self._peek()) and char in "0123456789":
            self._at += 1
        digits = self._form[start : self._at]
        if not digits:
            return None
        if len(digits) > 7 or int(digits) > MAX_WIDTH:
            self._at = len(self._form)
            return None
        return int(digits)

    def _number_from_argument(self) -> int | None:
        value = self._args[self._next] if self._next < len(self._args) else None
        self._next += 1 if self._next < len(self._args) else 0
        return int(value) if isinstance(value, Int) and abs(value) <= MAX_WIDTH else None
