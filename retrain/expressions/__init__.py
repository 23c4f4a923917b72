"""The small languages inside of manifests, each compiled once to something that only computes.

    paths          gjson, to read out of JSON              setting      sjson, to put into it
    conditions     `a && (b || c)` over names              cron         when a cron expression is next
    govaluate      the `exprs` of filters, `when`          exprlang     expr-lang: `{{=...}}`, filters (expr/)
    gotemplate     Go's text/template (template/)          sprig        its functions
    jq_program     jq, and lua_script: Lua                 sandbox      the process in which these two run

None of them reaches the environment, files, attributes of objects, or the time unless it is given. Each has limits for
time, depth and the size of what comes out.
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
