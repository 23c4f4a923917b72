"""Manifests: reading YAML documents as Kubernetes reads them, with file, line and column for every complaint.

What a kind means stands in the `spec.py` of its stage; which kinds there are, in `retrain.app.projects.catalog`.
"""

from retrain.manifests.checking import problems, validate
from retrain.manifests.document import Document, Finding, Mark, Path, Positions, Problem, Severity, Spot, dotted
from retrain.manifests.files import Loaded, describe, is_ours, load_file, load_paths, load_text, read_paths
from retrain.manifests.plugged import Kinds, Pluggable, Plugged
from retrain.manifests.writing import to_yaml

__all__ = [
    "Document",
    "Finding",
    "Kinds",
    "Loaded",
    "Mark",
    "Path",
    "Pluggable",
    "Plugged",
    "Positions",
    "Problem",
    "Severity",
    "Spot",
    "describe",
    "dotted",
    "is_ours",
    "load_file",
    "load_paths",
    "load_text",
    "problems",
    "read_paths",
    "to_yaml",
    "validate",
]
