"""Sources that look: at files, clocks, Kubernetes, and what has to be asked."""
