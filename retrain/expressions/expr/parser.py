"""expr-lang: tokens to a tree, by precedence climbing.

Two limits keep us off Python's own limit of recursion: how deep expressions are nested in the text, and how long a
chain like `a.b.c` or `a + b + c` may be. `&&` and `||` chains are flat and have no limit but that of the text.

Source: https://github.com/expr-lang/expr/blob/v1.17.7/parser/parser.go and `parser/operator/operator.go`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from retrain.expressions.expr.nodes import (
    Binary,
    Builtin,
    Call,
    Chain,
    Conditional,
    Let,
    ListNode,
    Literal,
    Logic,
    MapNode,
    Member,
    Name,
    Node,
    Pointer,
    Sequence,
    Slice,
    Unary,
)
from retrain.expressions.expr.tokens import WORDS, Token, fail, tokens

MAX_DEPTH = 64
MAX_CHAIN = 100

PREDICATES: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("all", "none", "any", "one", "filter", "map", "groupBy", "countBy"), (2, 2)),
    **dict.fromkeys(("find", "findIndex", "findLast", "findLastIndex"), (2, 2)),
    **dict.fromkeys(("count", "sum"), (1, 2)),
    **dict.fromkeys(("sortBy", "reduce"), (2, 3)),
}
"""Functions whose second argument is a predicate: the least and the most arguments they take."""

_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_BINARY = {
    "|": 0,
    **dict.fromkeys(("or", "||"), 10),
    **dict.fromkeys(("and", "&&"), 15),
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">=", "in", "matches", "contains", "startsWith", "endsWith"), 20),
    "..": 25,
    **dict.fromkeys(("+", "-"), 30),
    **dict.fromkeys(("*", "/", "%"), 60),
    **dict.fromkeys(("**", "^"), 100),
    "??": 500,
}
_RIGHT = frozenset({"**", "^"})
_ORDER = frozenset({"<", ">", "<=", ">="})
_AFTER_NOT = frozenset({"in", "matches", "contains", "startsWith", "endsWith"})
_SAME = {"and": "&&", "or": "||", "not": "!", "^": "**"}


def parse(text: str, builtins: Collection[str], given: Collection[str]) -> Node:
    """The tree of an expression. `given` names functions that hide a builtin of the same name.

    Raises:
        ExprError: with the line and column.
    """
    return _Parser(text, frozenset(builtins), frozenset(given)).whole()


class _Parser:
    def __init__(self, text: str, builtins: frozenset[str], given: frozenset[str]) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._now = self._tokens[0]
        self._depth = 0
        self._predicate = 0
        self._own = builtins
        self._builtins = builtins - given
        self._predicates = frozenset(PREDICATES) - given

    # --- moving ---

    def _next(self) -> Token:
        token = self._now
        self._at += 1
        self._now = self._tokens[min(self._at, len(self._tokens) - 1)]
        return token

    def _is(self, *texts: str) -> bool:
        return self._now.kind in ("op", "bracket") and self._now.text in texts

    def _take(self, text: str) -> bool:
        if self._is(text):
            self._next()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self._unexpected(f", expected {text!r}")

    def _expect_name(self) -> Token:
        if self._now.kind != "name":
            self._unexpected(", expected a name")
        return self._next()

    def _unexpected(self, hint: str = "") -> NoReturn:
        token = self._now
        if token.kind == "end":
            self._fail(token, "unexpected end of expression" + hint)
        self._fail(token, f"unexpected token {token.text!r}" + hint)

    def _fail(self, token: Token, message: str) -> NoReturn:
        fail(self._text, token.at, message)

    def _long(self, token: Token, length: int) -> int:
        if length >= MAX_CHAIN:
            self._fail(token, f"more than {MAX_CHAIN} operators or members in a row; use brackets or `let`")
        return length + 1

    # --- expressions ---

    def whole(self) -> Node:
        root = self._sequence()
        if self._now.kind != "end":
            self._unexpected()
        return root

    def _sequence(self) -> Node:
        first = self._now
        parts = [self._expression(0)]
        while self._take(";"):
            if self._now.kind == "end":
                break
            parts.append(self._expression(0))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts), first.at)

    def _expression(self, precedence: int) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(self._now, f"the expression is nested deeper than {MAX_DEPTH}")
        if precedence == 0 and self._is("let"):
            node = self._let()
        elif precedence == 0 and self._is("if"):
            node = self._if()
        else:
            node = self._operators(self._primary(), precedence)
            if precedence == 0:
                node = self._ternary(node)
        self._depth -= 1
        return node

    def _operators(self, left: Node, precedence: int) -> Node:
        before = ""
        length = 0
        while self._now.kind == "op":
            at, negate = self._at, False
            if self._is("not"):
                self._next()
                negate = True
                if not self._is(*_AFTER_NOT):
                    self._unexpected(", expected in, matches, contains, startsWith or endsWith after not")
            token = self._now
            if _BINARY.get(token.text, -1) < precedence:
                self._at, self._now = at, self._tokens[at]
                return left
            if before == "??" and token.text not in ("??", "|"):
                self._fail(token, f"{token.text} and ?? cannot be mixed; wrap either in brackets")
            length = 0 if token.text in ("&&", "||", "and", "or") else self._long(token, length)
            left = self._operation(left, self._next())
            if negate:
                left = Unary("!", left, token.at)
            before = token.text
        return left

    def _operation(self, left: Node, token: Token) -> Node:
        op = token.text
        if op == "|":
            return self._call(self._expect_name(), (left,))
        precedence = _BINARY[op]
        if op in _ORDER:
            return self._comparison(left, token)
        right = self._expression(precedence if op in _RIGHT else precedence + 1)
        op = _SAME.get(op, op)
        if op in ("&&", "||"):
            return _logic(op, left, right, token.at)
        return Binary(op, left, right, token.at)

    def _comparison(self, left: Node, token: Token) -> Node:
        """`1 < x <= 3` is `1 < x && x <= 3`."""
        right = self._expression(_BINARY[token.text] + 1)
        root: Node = Binary(token.text, left, right, token.at)
        while self._is(*_ORDER):
            token, left = self._next(), right
            right = self._expression(_BINARY[token.text] + 1)
            root = _logic("&&", root, Binary(token.text, left, right, token.at), token.at)
        return root

    def _let(self) -> Node:
        self._next()
        name = self._expect_name()
        self._expect("=")
        value = self._expression(0)
        self._expect(";")
        return Let(name.text, value, self._sequence(), name.at)

    def _if(self) -> Node:
        token = self._next()
        test = self._expression(0)
        then = self._block()
        self._expect("else")
        otherwise = self._expression(0) if self._is("if") else self._block()
        return Conditional(test, then, otherwise, token.at)

    def _block(self) -> Node:
        self._expect("{")
        node = self._sequence()
        self._expect("}")
        return node

    def _ternary(self, test: Node) -> Node:
        while self._is("?"):
            token = self._next()
            if self._take(":"):
                test = Conditional(test, test, self._expression(0), token.at)
                continue
            then = self._expression(0)
            self._expect(":")
            test = Conditional(test, then, self._expression(0), token.at)
        return test

    # --- values ---

    def _primary(self) -> Node:
        token = self._now
        if token.kind == "op" and token.text in _UNARY:
            self._next()
            value = self._expression(_UNARY[token.text])
            return self._postfix(Unary(_SAME.get(token.text, token.text), value, token.at))
        if self._take("("):
            node = self._sequence()
            self._expect(")")
            return self._postfix(node)
        if self._predicate and self._is("#", "."):
            return self._postfix(self._pointer())
        if self._take("::"):  # the language's own, even if a given function has its name
            return self._postfix(self._call(self._expect_name(), (), own=True))
        return self._secondary()

    def _pointer(self) -> Node:
        token = self._now
        name = ""
        if self._take("#") and self._now.kind == "name" and self._now.at == token.at + 1:
            name = self._next().text
            if name not in ("index", "acc"):
                self._fail(token, f"unknown pointer #{name}; there are #, #index and #acc")
        return Pointer(name, token.at)

    def _secondary(self) -> Node:
        token = self._now
        if token.kind == "name":
            return self._named(self._next())
        if token.kind in ("int", "float"):
            return Literal(self._next().value, token.at)
        if token.kind in ("string", "bytes"):
            return self._postfix(Literal(self._next().value, token.at))
        if self._take("["):
            return self._postfix(ListNode(self._list("]"), token.at))
        if self._take("{"):
            return self._postfix(MapNode(self._pairs(), token.at))
        return self._unexpected()

    def _named(self, token: Token) -> Node:
        if token.text in ("true", "false", "nil"):
            return Literal({"true": True, "false": False, "nil": None}[token.text], token.at)
        return self._postfix(self._call(token, ()) if self._is("(") else Name(token.text, token.at))

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._take(closing):
            if items:
                self._expect(",")
                if self._take(closing):
                    break
            items.append(self._expression(0))
        return tuple(items)

    def _pairs(self) -> tuple[tuple[Node, Node], ...]:
        pairs: list[tuple[Node, Node]] = []
        while not self._take("}"):
            if pairs:
                self._expect(",")
                if self._take("}"):
                    break
            key = self._key()
            self._expect(":")
            pairs.append((key, self._expression(0)))
        return tuple(pairs)

    def _key(self) -> Node:
        token = self._now
        if token.kind in ("int", "float", "name"):
            return Literal(self._next().text, token.at)
        if token.kind == "string":
            return Literal(self._next().value, token.at)
        if self._is("("):
            return self._expression(0)
        return self._unexpected("; a key is a name, a string, a number or an expression in brackets ()")

    # --- what may follow a value ---

    def _postfix(self, node: Node) -> Node:
        length = 0
        while self._is(".", "?.", "["):
            length = self._long(self._now, length)
            token = self._next()
            optional = token.text == "?."
            if token.text == "[" or (optional and self._take("[")):
                node = self._index(node, token, optional)
            else:
                node = self._member(node, optional)
        return node

    def _member(self, node: Node, optional: bool) -> Node:
        token = self._now
        if token.kind != "name" and token.text not in WORDS:
            self._unexpected(", expected a name")
        self._next()
        chained = isinstance(node, Chain)
        base = node.inner if isinstance(node, Chain) else node
        out: Node = Member(base, Literal(token.text, token.at), optional, token.at)
        if self._take("("):
            out = Call(out, self._list(")"), token.at)
        return Chain(out, token.at) if chained or optional else out

    def _index(self, node: Node, token: Token, optional: bool) -> Node:
        start = None if self._is(":") else self._expression(0)
        if self._take(":"):
            end = None if self._is("]") else self._expression(0)
            self._expect("]")
            return Slice(node, start, end, token.at)
        self._expect("]")
        assert start is not None
        member = Member(node, start, optional, token.at)
        return Chain(member, token.at) if optional else member

    # --- calls ---

    def _call(self, token: Token, piped: tuple[Node, ...], *, own: bool = False) -> Node:
        self._expect("(")
        if token.text in (PREDICATES if own else self._predicates):
            return self._predicate_call(token, piped)
        arguments = (*piped, *self._list(")"))
        if token.text in (self._own if own else self._builtins):
            return Builtin(token.text, arguments, token.at)
        return Call(Name(token.text, token.at), arguments, token.at)

    def _predicate_call(self, token: Token, piped: tuple[Node, ...]) -> Node:
        least, most = PREDICATES[token.text]
        arguments = list(piped)
        while not self._is(")") and len(arguments) < most:
            if len(arguments) > len(piped):
                self._expect(",")
                if self._is(")"):
                    break
            arguments.append(self._predicate_body() if len(arguments) == 1 else self._expression(0))
        self._take(",")
        if not self._is(")"):
            self._unexpected(f"; {token.text} takes at most {most} arguments")
        self._next()
        if len(arguments) < least:
            self._fail(token, f"{token.text} takes at least {least} arguments, not {len(arguments)}")
        return Builtin(token.text, tuple(arguments), token.at)

    def _predicate_body(self) -> Node:
        self._predicate += 1
        if self._is("{"):
            node = self._block()
        else:
            node = self._expression(0)
            if self._is(";"):
                self._fail(self._now, "wrap the predicate in { and }")
        self._predicate -= 1
        return node


def _logic(op: str, left: Node, right: Node, at: int) -> Node:
    parts = left.parts if isinstance(left, Logic) and left.op == op else (left,)
    return Logic(op, (*parts, right), at)
