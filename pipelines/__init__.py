"""Runs workflows: the language of Argo Workflows, decided by a pure engine, done by local processes.

`spec` is what a user writes, `checks` says what is wrong with it, `core` decides. `local` does it on this machine,
`artifacts` keeps its files, `agents` does what is no process (HTTP calls, objects), `host` holds runs durably.
"""
