"""From the text of a template to its nodes: Go's grammar of actions, pipelines and blocks.

Variables get their place in the frame here, so that nothing is looked up by name when a template runs.

Source: https://pkg.go.dev/text/template#hdr-Actions
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

from retrain.expressions.template.lexer import Kind
from retrain.expressions.template.meter import MAX_TEXT
from retrain.expressions.template.nodes import (
    Action,
    Call,
    Choice,
    Leave,
    Node,
    Pipe,
    Range,
    Text,
    Tree,
)
from retrain.expressions.template.show import quote
from retrain.expressions.template.terms import Scope, TermReader
from retrain.expressions.template.values import TemplateError

_Ends = Literal["end", "else"]


def parse(text: str, name: str, functions: Collection[str], refused: Mapping[str, str]) -> dict[str, Tree]:
    """All templates of the text by name; `name` is the main one's.

    `refused` has the functions that exist upstream and not here, each with its reason.

    Raises:
        TemplateError: with the line, in Go's words.
    """
    if len(text) > MAX_TEXT:
        raise TemplateError(f"template: {name}: it has {len(text)} characters, {MAX_TEXT} are allowed")
    return _Parser(text, name, functions, refused).run()


class _Parser(TermReader):
    def __init__(self, text: str, name: str, functions: Collection[str], refused: Mapping[str, str]) -> None:
        super().__init__(text, name, functions, refused)
        self._trees: dict[str, Tree] = {}

    # --- templates ---

    def run(self) -> dict[str, Tree]:
        body: list[Node] = []
        while self.peek_word().kind is not Kind.END:
            if self._takes_define():
                self._define()
                continue
            node = self._text_or_action()
            if isinstance(node, str):
                raise self.error(f"unexpected {{{{{node}}}}}")
            body.append(node)
        self._add(Tree(self.name, tuple(body), self.scope.slots))
        return self._trees

    def _takes_define(self) -> bool:
        before = self.at
        if self.next().kind is Kind.OPEN:
            word = self.next_word()
            if word.kind is Kind.KEYWORD and word.text == "define":
                return True
        self.at = before
        return False

    def _define(self) -> None:
        name = self.literal(self.expect("define clause", Kind.STRING, Kind.RAW))
        self.expect("define clause", Kind.CLOSE)
        self._inner(name, "define clause")

    def _inner(self, name: str, context: str) -> None:
        """The body of a `define` or `block`: a template of its own, with variables of its own."""
        outer, self.scope = self.scope, Scope()
        body, ends = self._body()
        if ends != "end":
            raise self.error(f"unexpected {{{{{ends}}}}} in {context}")
        self._add(Tree(name, body, self.scope.slots))
        self.scope = outer

    def _add(self, tree: Tree) -> None:
        known = self._trees.get(tree.name)
        if known is None or _is_empty(known.body):
            self._trees[tree.name] = tree
        elif not _is_empty(tree.body):
            raise self.error(f"template: multiple definition of template {quote(tree.name)}")

    # --- blocks ---

    def _body(self) -> tuple[tuple[Node, ...], _Ends]:
        """Nodes up to `{{end}}` or `{{else`, and which of them it was."""
        self.deeper(1)
        nodes: list[Node] = []
        while self.peek_word().kind is not Kind.END:
            node = self._text_or_action()
            if isinstance(node, str):
                self.deeper(-1)
                return tuple(nodes), node
            nodes.append(node)
        raise self.error("unexpected EOF")

    def _text_or_action(self) -> Node | _Ends:
        token = self.next_word()
        if token.kind is Kind.TEXT:
            return Text(token.text)
        if token.kind is not Kind.OPEN:
            raise self.unexpected(token, "input")
        return self._action()

    def _action(self) -> Node | _Ends:
        token = self.peek_word()
        if token.kind is not Kind.KEYWORD or token.text == "define":
            return Action(token.at, self.pipeline("command", Kind.CLOSE))
        self.next()
        match token.text:
            case "if" | "with":
                return self._choice("if" if token.text == "if" else "with")
            case "range":
                return self._range()
            case "end":
                self.expect("end", Kind.CLOSE)
                return "end"
            case "else":
                return self._else()
            case "template":
                return self._template()
            case "block":
                return self._block()
            case _:
                return self._leave("break" if token.text == "break" else "continue")

    def _else(self) -> _Ends:
        following = self.peek_word()
        if not (following.kind is Kind.KEYWORD and following.text in ("if", "with")):
            self.expect("else", Kind.CLOSE)
        return "else"

    def _leave(self, kind: Literal["break", "continue"]) -> Leave:
        if self.next_word().kind is not Kind.CLOSE:
            raise self.unexpected(self.peek(), f"{{{{{kind}}}}}")
        if not self.scope.ranges:
            raise self.error(f"{{{{{kind}}}}} outside {{{{range}}}}")
        return Leave(kind)

    def _choice(self, kind: Literal["if", "with"]) -> Choice:
        scope, known = self.scope, len(self.scope.names)
        branches: list[tuple[Pipe, tuple[Node, ...]]] = []
        otherwise: tuple[Node, ...] = ()
        while True:
            pipe = self.pipeline(kind, Kind.CLOSE)
            inner = len(scope.names)
            body, ends = self._body()
            del scope.names[inner:]
            branches.append((pipe, body))
            if ends == "end":
                break
            following = self.peek()
            if following.kind is Kind.KEYWORD and following.text == kind:
                self.next()
                continue
            otherwise = self._otherwise()
            break
        del scope.names[known:]
        return Choice(kind, tuple(branches), otherwise)

    def _otherwise(self) -> tuple[Node, ...]:
        """What stands behind a plain `{{else}}`."""
        following = self.peek()
        if following.kind is Kind.KEYWORD:  # `{{else with` inside of an `if`: the token is still there
            raise self.unexpected(following, "input")
        known = len(self.scope.names)
        body, ends = self._body()
        if ends != "end":
            raise self.error(f"expected end; found {{{{{ends}}}}}")
        del self.scope.names[known:]
        return body

    def _range(self) -> Range:
        scope, known = self.scope, len(self.scope.names)
        pipe = self.pipeline("range", Kind.CLOSE)
        scope.ranges += 1
        body, ends = self._body()
        scope.ranges -= 1
        otherwise = self._otherwise() if ends == "else" else ()
        del scope.names[known:]
        return Range(pipe, body, otherwise)

    def _template(self) -> Call:
        token = self.next_word()
        if token.kind not in (Kind.STRING, Kind.RAW):
            raise self.unexpected(token, "template clause")
        name = self.literal(token)
        if self.peek_word().kind is Kind.CLOSE:
            self.next()
            return Call(token.at, name, None)
        return Call(token.at, name, self.pipeline("template clause", Kind.CLOSE))

    def _block(self) -> Call:
        token = self.next_word()
        if token.kind not in (Kind.STRING, Kind.RAW):
            raise self.unexpected(token, "block clause")
        name = self.literal(token)
        pipe = self.pipeline("block clause", Kind.CLOSE)
        self._inner(name, "block clause")
        return Call(token.at, name, pipe)


def _is_empty(body: tuple[Node, ...]) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in body)
