"""The project from a cluster instead of files: objects are watched, judged one by one, and told how they fare.

Pure: `watched` (which kinds), `naming` and `references` (names inside the platform, Secrets by name), `judging` (one
object), `world` (all of them, and the project that they make), `statuses` and `stories` (what is written back),
`doors`, `ports` and `buses` (what EventSources and EventBuses ask of a cluster besides).
I/O: `following` (list and watch), `values` (Secrets and ConfigMaps), `telling` (statuses and Events), `services` (what
doors ask for), `choosing_bus` (which bus, at the start), `operator`.
"""
