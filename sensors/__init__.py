"""Events -> firings. What a Sensor means is decided by pure code; one loop beside it reads the log and writes.

spec, dependency_spec, trigger_spec, decision_spec    what the user writes; checks/ says what is wrong with it
filtering/      whether an event counts             actions/    what a firing does, written out
core/           the decision: state in, state out   objects/    where a trigger's object comes from
host/           the loop from the log to the store
explain, cases, replay                              the same decision over files, tests and the recorded log
"""

from sensors.core.step import Sensor
from sensors.explain import explain, read_events
from sensors.spec import SensorDocument, check

__all__ = [
    "Sensor",
    "SensorDocument",
    "check",
    "explain",
    "read_events",
]
