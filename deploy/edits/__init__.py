"""Edits that change the bytes of one value and nothing else. Pure.

`edit` finds, splices and proves; `tree` reads YAML with places; `scalars` writes values; `selector` reads paths; `spec`
is what the user writes.
"""
