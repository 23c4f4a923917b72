"""Pictures of a run: its tree, its graph (dot, Mermaid, SVG) and its time (Gantt, text and SVG).

Pure: a Workflow object with Argo's `status` goes in, text comes out. It may be one that Argo's controller wrote. What
stands in names and messages is shown, and never becomes markup, a script or a command to a terminal.
"""

from __future__ import annotations
