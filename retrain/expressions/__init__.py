"""The small languages inside of manifests, each compiled once to something that only computes.

`paths`: gjson, to read out of JSON · `setting`: sjson, to put into it · `conditions`: `a && (b || c)` over names ·
`govaluate`: the `when` of Argo Workflows. None of them reaches the environment, files or attributes of objects.
"""

from retrain.expressions.conditions import Condition, ConditionError, all_of, compile_condition
from retrain.expressions.paths import Found, Path, PathError, compile_path, parse_bool, parse_float
from retrain.expressions.setting import Dest, DestError, compile_dest, set_value

__all__ = [
    "Condition",
    "ConditionError",
    "Dest",
    "DestError",
    "Found",
    "Path",
    "PathError",
    "all_of",
    "compile_condition",
    "compile_dest",
    "compile_path",
    "parse_bool",
    "parse_float",
    "set_value",
]
