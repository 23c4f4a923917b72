"""What is wrong with a workflow before it runs: Argo's validation, and what only a local run must refuse."""
