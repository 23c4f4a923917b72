"""What all that happened comes to: the overview, search, traces, dead letters, and the questions of every list."""
