"""Runs workflows: the language of Argo Workflows, decided by a pure engine, done by local processes.

`spec` is what a user writes, `check` says what is wrong with it. `engine` decides: it takes what happened and says
what to start, what to stop and what to save; `plan`, `walk`, `steps` and `dag` are its parts, `rehearse` plays a
workflow with given answers. The languages inside a workflow are `substitute`, `expand`, `depends` and `retry`.
"""
