"""Runs of a platform: the queue in the store, one loop that drives each run, and what the world hears of it."""
