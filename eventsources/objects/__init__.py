"""Sources that tell of objects in buckets."""
