"""What the platform tells of itself: figures for Prometheus, identities of traces, ids in the log.

Stands at the bottom of the house, beside the log: every room counts with it, and it knows none of them. Nothing here
loads a library for metrics or traces: a command in the foreground pays nothing for it.

    figures   counters and histograms whose labels are bounded       meters   all of them, by name
    ids       trace and span ids that follow from what they are of   bound    ids in the log's lines
"""
