"""Where in a user's files something stands that a cluster has refused, and what a cluster calls it."""

from __future__ import annotations

import pytest

from pipelines.local.foreground import named
from retrain.cli.run_places import path_of, placed
from retrain.kube import Invalid
from retrain.manifests import load_text

SECRET = """
apiVersion: v1
kind: Secret
metadata:
  name: keys
  labels:
    team: a b
"""


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ("metadata.labels", ("metadata", "labels")),
        ("spec.templates[0].container.command[1]", ("spec", "templates", 0, "container", "command", 1)),
        ("metadata.annotations[retrain.dev/engine]", ("metadata", "annotations", "retrain.dev/engine")),
        ("", ()),
    ],
)
def test_a_field_is_read_as_a_server_writes_it(field: str, path: tuple[str | int, ...]) -> None:
    assert path_of(field) == path


@pytest.mark.parametrize(
    ("said", "begins"), [('Secret "keys" is invalid', "keys.yaml:6:3: "), ('Secret "others" is invalid', "Secret")]
)
def test_a_refusal_names_the_line_of_the_object_that_it_is_of(said: str, begins: str) -> None:
    (document,) = load_text(SECRET, "keys.yaml")[0]

    assert str(placed(Invalid(said, ("metadata.labels",)), [(document, "keys")])).startswith(begins)


def test_a_generated_name_is_cut_as_kubernetes_does() -> None:
    name = named({"metadata": {"generateName": "a" * 60 + "-"}}, None)

    assert (len(name), name[:58]) == (63, "a" * 58)
