"""The decision: state and an event or a timer in, new state and what came of it out. Pure.

step            a Sensor, compiled: `step`, `tick`, `adopt`
dependency_rule, trigger_rule    what an event goes through, in the order of docs/sensors.md
window, join, silence, deadline  what is collected, and until when
gates, lane, lifecycle, schedule what holds a firing back
cells, chain, cell_text          the state, and how it is written down
course          the same over a log and a clock, in memory
"""
