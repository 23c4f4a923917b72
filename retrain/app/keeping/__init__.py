"""A platform over years: its health, back-ups, bounds, and what helps when something is wrong."""
