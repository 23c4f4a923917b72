"""The functions of sprig, for templates and for expr-lang: `FUNCTIONS` by name, one file for each subject."""

from retrain.expressions.sprig.table import FUNCTIONS, NEEDS_SURROUNDINGS, REFUSED, Surroundings

__all__ = ["FUNCTIONS", "NEEDS_SURROUNDINGS", "REFUSED", "Surroundings"]
