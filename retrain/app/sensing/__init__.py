"""Sensors, sources and events as people ask for them: what they decided, why, and what a changed one would."""
