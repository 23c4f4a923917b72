"""The conditions of `when`. Their language is loaded with the first one: most workflows have none."""

from __future__ import annotations

from retrain.errors import ConfigError


class NoCondition(ConfigError):
    """The text is no condition. The message has Argo's words."""


def evaluate(text: str) -> bool:
    """Whether the condition of a `when` holds; empty text holds.

    Raises:
        NoCondition: it cannot be read, or its values do not fit its operators.
    """
    if text == "":
        return True
    from retrain.expressions import govaluate

    try:
        return govaluate.evaluate(text)
    except govaluate.ExpressionError as error:
        raise NoCondition(str(error)) from None
