"""The text of a template in tokens: plain text, and what stands between `{{` and `}}`.

Trimming (`{{-`, `-}}`) and comments are done here; the parser sees neither. Spaces inside of an action are tokens,
because `.a .b` and `.a.b` differ.

Source: https://pkg.go.dev/text/template#hdr-Text_and_spaces
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from retrain.expressions.template.show import quote

SPACES: Final = " \t\r\n"


class Kind(StrEnum):
    TEXT = "text"
    OPEN = "{{"
    CLOSE = "}}"
    SPACE = "space"
    ASSIGN = "="
    DECLARE = ":="
    PIPE = "|"
    LEFT = "("
    RIGHT = ")"
    STRING = "string"
    RAW = "raw string"
    CHAR = "char"
    NUMBER = "number"
    COMPLEX = "complex"
    BOOL = "bool"
    NIL = "nil"
    DOT = "."
    FIELD = "field"
    VARIABLE = "variable"
    IDENTIFIER = "identifier"
    KEYWORD = "keyword"
    OTHER = "other"
    END = "EOF"
    ERROR = "error"


KEYWORDS: Final = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"},
)


@dataclass(frozen=True, slots=True)
class Token:
    """`at` is the offset in characters of its beginning, `line` counts from 1. An ERROR's text is the message."""

    kind: Kind
    text: str
    at: int
    line: int

    def __str__(self) -> str:
        """As Go's messages name it."""
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.NIL, Kind.DOT):
            return f"<{self.text}>"
        return f"{quote(self.text[:10])}..." if len(self.text) > 10 else quote(self.text)


def tokens(text: str) -> list[Token]:
    """Everything, up to the end or to the first error, which is the last token then."""
    return _Lexer(text).run()


_NAME = r"[^\W]+"
_NUMBER = (
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_INSIDE = re.compile(
    rf"(?P<SPACE>[ \t\r\n]+)|(?P<DECLARE>:=)|(?P<ASSIGN>=)|(?P<PIPE>\|)|(?P<LEFT>\()|(?P<RIGHT>\))"
    rf'|(?P<STRING>"(?:[^"\\\n]|\\[^\n])*")|(?P<RAW>`[^`]*`)|(?P<CHAR>\'(?:[^\'\\\n]|\\[^\n])*\')'
    rf"|(?P<VARIABLE>\$(?:{_NAME})?)|(?P<FIELD>\.(?![0-9])(?:{_NAME})?)|(?P<NUMBER>(?=[+\-.0-9]){_NUMBER})"
    rf"|(?P<IDENTIFIER>{_NAME})",
)
_SIGNED = re.compile(_NUMBER)
_SPACES = re.compile(r"[ \t\r\n]*")
_UNCLOSED: Mapping[str, str] = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
    ":": "expected :=",
}


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._depth = 0
        self._out: list[Token] = []
        self._inside = False
        self._going = True

    def run(self) -> list[Token]:
        while self._going:
            if self._inside:
                self._action()
            else:
                self._plain()
        return self._out

    def _emit(self, kind: Kind, end: int) -> None:
        self._out.append(Token(kind, self._text[self._at : end], self._at, self._line))
        self._skip(end)

    def _skip(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _fail(self, message: str) -> None:
        self._out.append(Token(Kind.ERROR, message, self._at, self._line))
        self._going = False

    def _is_space(self, at: int) -> bool:
        return at < len(self._text) and self._text[at] in SPACES

    # --- outside ---

    def _plain(self) -> None:
        """Text up to the next action, and the `{{` itself."""
        start = self._text.find("{{", self._at)
        end = start if start >= 0 else len(self._text)
        trims = start >= 0 and self._text.startswith("-", start + 2) and self._is_space(start + 3)
        kept = self._at + len(self._text[self._at : end].rstrip(SPACES)) if trims else end
        if kept > self._at:
            self._emit(Kind.TEXT, kept)
        self._skip(end)
        if start < 0:
            self._emit(Kind.END, end)
            self._going = False
            return
        behind = start + (4 if trims else 2)
        if self._text.startswith("/*", behind):
            self._skip(behind)
            self._comment()
            return
        self._emit(Kind.OPEN, start + 2)
        self._skip(behind)
        self._depth = 0
        self._inside = True

    def _comment(self) -> None:
        end = self._text.find("*/", self._at + 2)
        if end < 0:
            self._fail("unclosed comment")
        elif not self._closes(end + 2):
            self._fail("comment ends before closing delimiter")
        else:
            self._skip(self._behind_close(end + 2))

    def _closes(self, at: int) -> bool:
        """Whether the action ends here, with or without trimming."""
        return self._text.startswith("}}", at) or (self._is_space(at) and self._text.startswith("-}}", at + 1))

    def _behind_close(self, at: int) -> int:
        if self._text.startswith("}}", at):
            return at + 2
        spaces = _SPACES.match(self._text, at + 4)
        return spaces.end() if spaces else at + 4

    # --- inside ---

    def _action(self) -> None:
        """One token."""
        if self._closes(self._at):
            self._close()
            return
        found = _INSIDE.match(self._text, self._at)
        if found is None:
            self._odd()
            return
        end = found.end()
        match found.lastgroup:
            case "SPACE":
                # The last space belongs to a `-}}` that follows.
                self._emit(Kind.SPACE, end - 1 if self._text.startswith("-}}", end) else end)
            case "NUMBER":
                self._number(end)
            case "VARIABLE" | "FIELD" | "IDENTIFIER":
                self._name(Kind[found.lastgroup], end)
            case "LEFT" | "RIGHT":
                self._parenthesis(Kind[found.lastgroup], end)
            case name:
                self._emit(Kind[str(name)], end)

    def _close(self) -> None:
        if self._depth:
            self._fail("unclosed left paren")
            return
        end = self._behind_close(self._at)
        self._out.append(Token(Kind.CLOSE, "}}", self._at, self._line))
        self._skip(end)
        self._inside = False

    def _odd(self) -> None:
        """A character that begins nothing."""
        char = self._text[self._at : self._at + 1]
        if not char:
            self._fail("unclosed action")
        elif char in _UNCLOSED:
            self._fail(_UNCLOSED[char])
        elif char.isascii() and char.isprintable():
            self._emit(Kind.OTHER, self._at + 1)
        else:
            self._fail(f"unrecognized character in action: {_code(char)}")

    def _parenthesis(self, kind: Kind, end: int) -> None:
        self._depth += 1 if kind is Kind.LEFT else -1
        if self._depth < 0:
            self._fail("unexpected right paren")
            return
        self._emit(kind, end)

    def _name(self, kind: Kind, end: int) -> None:
        word = self._text[self._at : end]
        if word not in (".", "$") and not self._terminates(end):
            self._fail(f"bad character {_code(self._text[end])}")
            return
        if kind is Kind.IDENTIFIER:
            kind = _WORDS.get(word, Kind.KEYWORD if word in KEYWORDS else kind)
        self._emit(Kind.DOT if word == "." else kind, end)

    def _terminates(self, at: int) -> bool:
        """Whether a name may end here."""
        return at >= len(self._text) or self._text[at] in " \t\r\n.,|:()" or self._text.startswith("}}", at)

    def _number(self, end: int) -> None:
        kind = Kind.NUMBER
        if self._text[end : end + 1] in ("+", "-"):
            kind = Kind.COMPLEX
            more = _SIGNED.match(self._text, end)
            end = more.end() if more else end
        following = self._text[end : end + 1]
        if following == "_" or following.isalnum() or (kind is Kind.COMPLEX and self._text[end - 1] != "i"):
            self._fail(f"bad number syntax: {quote(self._text[self._at : end + 1])}")
            return
        self._emit(kind, end)


_WORDS: Mapping[str, Kind] = {"true": Kind.BOOL, "false": Kind.BOOL, "nil": Kind.NIL}


def _code(char: str) -> str:
    """As Go's `%#U`."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
