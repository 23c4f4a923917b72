"""Pipelines, commands and operands of a template, from tokens to nodes.

Variables get their place in the frame here, so that nothing is looked up by name when a template runs.

Source: https://pkg.go.dev/text/template#hdr-Pipelines
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from retrain.expressions.template.lexer import Kind, Token, tokens
from retrain.expressions.template.literals import character, number, unquote
from retrain.expressions.template.meter import MAX_BLOCKS
from retrain.expressions.template.nodes import (
    Bool,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Number,
    Operand,
    Pipe,
    String,
    Variable,
)
from retrain.expressions.template.show import quote
from retrain.expressions.template.values import Int, TemplateError

_OPERANDS = frozenset(
    {
        *(Kind.BOOL, Kind.CHAR, Kind.COMPLEX, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER, Kind.NIL),
        *(Kind.RAW, Kind.STRING, Kind.VARIABLE, Kind.LEFT),
    }
)
_LITERALS = (Bool, Dot, Nil, Number, String)


@dataclass(slots=True)
class Scope:
    """The variables of the template that is being read; the innermost is last."""

    names: list[tuple[str, int | None]] = field(default_factory=lambda: [("$", 0)])
    slots: int = 1
    ranges: int = 0

    def declare(self, name: str) -> int:
        self.slots += 1
        self.names.append((name, self.slots - 1))
        return self.slots - 1

    def find(self, name: str) -> tuple[bool, int | None]:
        for known, slot in reversed(self.names):
            if known == name:
                return True, slot
        return False, None


class TermReader:
    """Reads tokens one by one. `functions` are the names that may be called; `refused` those that exist upstream."""

    def __init__(self, text: str, name: str, functions: Collection[str], refused: Mapping[str, str]) -> None:
        self._tokens = tokens(text)
        self.name = name
        self._functions = functions
        self._refused = refused
        self.at = 0
        self._depth = 0
        self.scope = Scope()

    # --- tokens ---

    def next(self) -> Token:
        token = self._tokens[self.at]
        if self.at < len(self._tokens) - 1:
            self.at += 1
        return token

    def peek(self) -> Token:
        return self._tokens[self.at]

    def next_word(self) -> Token:
        """The next token that is no space."""
        self.peek_word()
        return self.next()

    def peek_word(self) -> Token:
        while self._tokens[self.at].kind is Kind.SPACE:
            self.at += 1
        return self._tokens[self.at]

    def error(self, message: str, line: int | None = None) -> TemplateError:
        return TemplateError(f"template: {self.name}:{line or self.peek().line}: {message}")

    def unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind is Kind.ERROR:
            return self.error(token.text, token.line)
        return self.error(f"unexpected {token} in {context}", token.line)

    def expect(self, context: str, *kinds: Kind) -> Token:
        token = self.next_word()
        if token.kind not in kinds:
            raise self.unexpected(token, context)
        return token

    def literal(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except TemplateError as error:
            raise self.error(str(error), token.line) from None

    def deeper(self, by: int) -> None:
        self._depth += by
        if self._depth > MAX_BLOCKS:
            raise self.error(f"blocks and parentheses are nested deeper than {MAX_BLOCKS}")

    # --- pipelines ---

    def pipeline(self, context: str, end: Kind) -> Pipe:
        start = self.peek_word().at
        names, assigns = self._declarations(context)
        # `$x := $x` reads the outer one, so what is declared is known only behind the pipeline.
        commands: list[Command] = []
        while (token := self.peek_word()).kind is not end:
            if token.kind not in _OPERANDS:
                raise self.unexpected(self.next(), context)
            commands.append(self._command())
        self.next()
        self._check(commands, context)
        return Pipe(start, tuple(self._declare(token, assigns) for token in names), assigns, tuple(commands))

    def _check(self, commands: list[Command], context: str) -> None:
        if not commands:
            raise self.error(f"missing value for {context}")
        for at, command in enumerate(commands[1:], 2):
            if isinstance(command.args[0], _LITERALS):
                raise self.error(f"non executable command in pipeline stage {at}")

    def _declare(self, token: Token, assigns: bool) -> Variable:
        slot = self.scope.find(token.text)[1] if assigns else self.scope.declare(token.text)
        return Variable(token.at, token.text, slot, ())

    def _declarations(self, context: str) -> tuple[list[Token], bool]:
        """The variables in front of `:=` or `=`, and whether it is `=`."""
        names: list[Token] = []
        while (token := self.peek_word()).kind is Kind.VARIABLE:
            before = self.at
            self.next()
            following = self.peek_word()
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                self.next()
                return [*names, token], following.kind is Kind.ASSIGN
            if not (following.kind is Kind.OTHER and following.text == ","):
                self.at = before
                break
            self.next()
            names.append(token)
            if context != "range" or len(names) > 1:
                raise self.error(f"too many declarations in {context}")
            if self.peek_word().kind not in (Kind.VARIABLE, Kind.CLOSE, Kind.RIGHT):
                raise self.error("range can only initialize variables")
        if names:
            raise self.unexpected(self.peek(), context)
        return [], False

    def _command(self) -> Command:
        start = self.peek_word().at
        args: list[Operand | Pipe] = []
        while True:
            self.peek_word()
            operand = self._operand()
            if operand is not None:
                args.append(operand)
            token = self.next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.CLOSE, Kind.RIGHT):
                self.at -= 1
            elif token.kind is not Kind.PIPE:
                raise self.unexpected(token, "operand")
            break
        if not args:
            raise self.error("empty command")
        return Command(start, tuple(args))

    def _operand(self) -> Operand | Pipe | None:
        term = self._term()
        following = self.peek()
        if term is None or following.kind is not Kind.FIELD:
            return term
        names: list[str] = []
        while self.peek().kind is Kind.FIELD:
            names.append(self.next().text[1:])
        match term:
            case Field():
                return Field(following.at, (*term.names, *names))
            case Variable():
                return Variable(following.at, term.name, term.slot, tuple(names))
            case Pipe() | Identifier():
                return Chain(following.at, term, tuple(names))
            case _:
                raise self.error(f"unexpected . after term {quote(str(term))}")

    def _term(self) -> Operand | Pipe | None:
        token = self.peek_word()
        if token.kind not in _OPERANDS:
            return None
        self.next()
        match token.kind:
            case Kind.IDENTIFIER:
                return self._function(token)
            case Kind.DOT:
                return Dot(token.at)
            case Kind.NIL:
                return Nil(token.at)
            case Kind.VARIABLE:
                return self._variable(token)
            case Kind.FIELD:
                return Field(token.at, (token.text[1:],))
            case Kind.BOOL:
                return Bool(token.at, token.text == "true")
            case Kind.LEFT:
                self.deeper(1)
                pipe = self.pipeline("parenthesized pipeline", Kind.RIGHT)
                self.deeper(-1)
                return pipe
            case Kind.STRING | Kind.RAW:
                return String(token.at, token.text, self.literal(token))
            case _:
                return self._number(token)

    def _function(self, token: Token) -> Identifier:
        if token.text in self._refused:
            raise self.error(f"{token.text} is not offered: {self._refused[token.text]}", token.line)
        if token.text not in self._functions:
            raise self.error(f"function {quote(token.text)} not defined", token.line)
        return Identifier(token.at, token.text)

    def _variable(self, token: Token) -> Variable:
        known, slot = self.scope.find(token.text)
        if not known:
            raise self.error(f"undefined variable {quote(token.text)}", token.line)
        return Variable(token.at, token.text, slot, ())

    def _number(self, token: Token) -> Number:
        try:
            if token.kind is Kind.CHAR:
                code = character(token.text)
                return Number(token.at, token.text, Int(code), code, float(code))
            value, whole, real = number(token.text)
        except TemplateError as error:
            raise self.error(str(error), token.line) from None
        return Number(token.at, token.text, value, whole, real)
