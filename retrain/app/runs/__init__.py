"""Runs as people ask for them: lists, trees, logs, artifacts, comparisons; and what is done to them."""
