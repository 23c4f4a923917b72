"""Edits that change the bytes of one value and nothing else. Pure.

`edit` is the door; `spec` is what the user writes, `change` what an edit is told and what it did, `making` one edit.
`selector` reads paths, `walk` follows them. `from_yaml`, `from_json`, `from_toml` read a text as a `tree` with places.
`values`, `adding` (by `fresh`), `removing` and `inside` say what to splice, `scalars` how values are written; `splice`
splices and proves. `anchoring` remembers where something stood. `serving` knows what KServe ignores.
"""
