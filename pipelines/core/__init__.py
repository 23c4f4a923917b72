"""What a workflow does next: pure. What happened goes in; what to save, to start and to stop comes out.

`engine` is the door: `begin`, `step`, `restore`. `plan` is a workflow compiled once, `walk`, `steps` and `dag` move it,
`rehearse` plays it with given answers. The languages inside are `substitute`, `expand`, `depends` and `retry`.
"""
