"""The annotation by which a template names its nodes for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.core.engine import begin
from pipelines.core.nodes import Phase
from pipelines.core.plan import Catalog
from pipelines.core.rehearse import rehearse

T = datetime(2026, 11, 20, tzinfo=UTC)
DISPLAY_NAME = "workflows.argoproj.io/display-name"


def played(shown: str, **template: Any) -> dict[str, tuple[str, Phase, str]]:
    """Nodes by name: display name, phase and message."""
    leaf = {
        "name": "leaf", "annotations": {DISPLAY_NAME: shown}, "inputs": {"parameters": [{"name": "os"}]},
        "container": {"image": "busybox:1", "command": ["true"]}, **template,
    }  # fmt: skip
    call = {"name": "loop", "template": "leaf", "arguments": {"parameters": [{"name": "os", "value": "{{item}}"}]}}
    main = {"name": "main", "steps": [[{**call, "withItems": ["alpine", "debian"]}]]}
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": [main, leaf]},
    }  # fmt: skip
    run = rehearse(begin(manifest, name="w", uid="u", created=T, templates=Catalog.of([])), now=T).run
    return {node.name: (node.display_name, node.phase, node.message) for node in run.nodes.values()}


def test_a_template_names_its_nodes() -> None:
    nodes = played("os-{{inputs.parameters.os}}")

    assert nodes["w[0].loop(0:alpine)"][:2] == ("os-alpine", Phase.Succeeded)
    assert nodes["w[0].loop(1:debian)"][:2] == ("os-debian", Phase.Succeeded)
    assert nodes["w[0]"][0] == "[0]"


def test_of_a_retried_template_only_the_retry_node_has_the_name() -> None:
    nodes = played("os-{{inputs.parameters.os}}", retryStrategy={"limit": "1"})

    assert nodes["w[0].loop(0:alpine)"][0] == "os-alpine"
    assert nodes["w[0].loop(0:alpine)(0)"][0] == "loop(0:alpine)(0)"


@pytest.mark.parametrize("shown", ["x", "a b", "-a", "a" * 64])
def test_a_name_that_is_none_is_an_error(shown: str) -> None:
    nodes = played(shown)

    assert nodes["w[0].loop(0:alpine)"][1] is Phase.Error
    assert nodes["w[0].loop(0:alpine)"][2].startswith("displayName must match the regex ^[a-zA-Z0-9]")
