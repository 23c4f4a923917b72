"""Whether an event counts for a dependency: its content, the transform, the filters and their languages. Pure."""
