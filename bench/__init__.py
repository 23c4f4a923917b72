"""Measurements: ours beside a peer or the physical limit, in one run on one machine. `make bench` prints them all.

Each module is one: `python -m bench.NAME` prints its table, `--json` its rows:
`{"name", "rows": [{"what", "ours", "peer", "ratio", "unit", "goal", "met"}]}`, `goal` and `met` where there is a goal.
"""
