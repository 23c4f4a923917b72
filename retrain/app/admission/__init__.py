"""The validating webhook: the API server asks what `lint` says of an object before it takes it.

Pure: `reviews` (a review in, an answer out), `certificates` (keys made and judged). I/O: `door` (HTTP), `vaults` (where
keys are kept), `bundles` (who is told which authority to trust), `part` (all of it, kept up over years). Nothing here
waits for the store, and nothing is changed by a review.
"""
