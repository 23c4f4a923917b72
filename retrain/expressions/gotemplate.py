"""Go's text/template with sprig, as Argo Events' `template`, `dataTemplate` and `contextTemplate` use it.

    compile_template('{{ .Input.body.name | upper }}').render({"Input": {"body": {"name": "a"}}})   # "A"

A text is compiled once to closures and rendered any number of times, from several threads if need be. A template
reaches its data, the functions by name, and nothing else: no attribute of an object, no environment, no files, no time
and no chance but those of its `Surroundings`. Functions of sprig that would are refused by name when it is compiled.

Numbers of the data are float64 as in Go (1000000 prints as `1e+06`); numbers of the text are ints. `Local` is UTC.

Source: https://pkg.go.dev/text/template, https://masterminds.github.io/sprig/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from retrain.expressions.sprig import table as sprig
from retrain.expressions.template.builtins import BUILTINS, LOGIC, REFUSED
from retrain.expressions.template.compile import compile_trees
from retrain.expressions.template.frame import UNSET, Body, Frame, Run
from retrain.expressions.template.functions import Function, Surroundings
from retrain.expressions.template.meter import swap
from retrain.expressions.template.nodes import Tree
from retrain.expressions.template.parser import parse
from retrain.expressions.template.values import TemplateError, Value, whole

__all__ = ["Template", "TemplateError", "compile_template"]

_FUNCTIONS: Final[Mapping[str, Function]] = {**BUILTINS, **sprig.FUNCTIONS}
_WORD: Final = re.compile(r"\w+")
_NAMES: Final = frozenset((*_FUNCTIONS, *LOGIC))
_REFUSED: Final[Mapping[str, str]] = {**REFUSED, **sprig.REFUSED}


@dataclass(frozen=True, slots=True)
class Template:
    """A template, compiled. `writes`: it has functions that change maps, so it gets a copy of its data."""

    text: str
    name: str
    writes: bool
    _bodies: Mapping[str, Body]

    def render(self, data: JsonValue, *, now: datetime | None = None, seed: str = "") -> str:
        """Run it with `data` as dot.

        `now`: what `now` and its kin give, aware; without it they fail. `seed`: where chance comes from.

        Raises:
            TemplateError: with Go's words, and the place in the text; or a limit was met.
        """
        dot: Value = sprig.copied(data) if self.writes else data
        run = Run(Surroundings(now, seed), self._bodies)
        body = self._bodies[self.name]
        slots: list[Value] = [UNSET] * body.slots
        slots[0] = dot
        before = swap(run.meter)
        try:
            body.run(Frame(slots, run), dot)
        except RecursionError:
            raise TemplateError(f"template: {self.name}: blocks and templates are nested too deep") from None
        finally:
            swap(before)
        return whole("".join(run.out))


def compile_template(text: str, *, name: str = "param") -> Template:
    """Read a template; `name` is what messages call it.

    Raises:
        TemplateError: it is no template, is too long or too deep, or names a function that there is not.
    """
    try:
        trees: Mapping[str, Tree] = parse(text, name, _NAMES, _REFUSED)
        bodies = compile_trees(trees, name, text, _FUNCTIONS)
    except RecursionError:
        raise TemplateError(f"template: {name}: blocks and parentheses are nested too deep") from None
    return Template(text, name, not sprig.WRITERS.isdisjoint(_WORD.findall(text)), bodies)
