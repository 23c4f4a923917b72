"""What an image means without a container engine, and what a container runs by itself."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.plan import Catalog, Plan, compile_plan
from pipelines.local.images import Image, Images, arguments, check_images, plain_reference
from pipelines.local.programs import install_shims
from retrain.errors import ConfigError

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def plan(*templates: dict[str, Any], entrypoint: str = "main", **spec: Any) -> Plan:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "spec": {"entrypoint": entrypoint, "templates": list(templates), **spec},
    }
    return compile_plan(manifest, name="wf", uid="u", created=NOW, catalog=Catalog())


def leaf(name: str, image: str) -> dict[str, Any]:
    return {"name": name, "container": {"image": image, "command": ["true"]}}


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("python", "python:latest"),
        ("docker.io/library/python:3.12", "python:3.12"),
        ("index.docker.io/argoproj/argosay:v2", "argoproj/argosay:v2"),
        ("registry:5000/team/train", "registry:5000/team/train:latest"),
        ("alpine@sha256:abc", "alpine:latest"),
        (" busybox ", "busybox:latest"),
    ],
)
def test_an_image_is_known_by_its_plain_name(given: str, plain: str) -> None:
    assert plain_reference(given) == plain


def test_the_first_entry_that_fits_wins_and_the_projects_own_come_first(tmp_path: Path) -> None:
    venv = tmp_path / "env"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    images = Images.of({"python:3.12*": {"venv": "env"}, "acme/*": "host", "busybox": "this"}, tmp_path)
    assert images.find("python:3.12-slim") == Image("venv", venv, cmd=("python3",))
    assert images.choose("python:3.11", False).kind == "this"
    assert images.choose("acme/train:7", False).kind == "host"
    assert images.choose("busybox", False).kind == "this"
    assert images.find("acme.example/train:7") is None


@pytest.mark.parametrize("value", ["that", {"venv": "nowhere"}, {"path": "x"}, 3])
def test_an_entry_that_means_nothing_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pipelines\.images: 'x'"):
        Images.of({"x": value}, tmp_path)


def test_an_unknown_image_is_refused_unless_any_will_do() -> None:
    with pytest.raises(ConfigError, match=r"'acme/train:7' is not known here.*--any-image"):
        Images().choose("acme/train:7", False)
    assert Images().choose("acme/train:7", True).kind == "host"


def test_the_whole_workflow_is_looked_at_before_anything_starts() -> None:
    steps = {
        "name": "main",
        "steps": [[{"name": "a", "template": "one"}], [{"name": "b", "inline": leaf("", "x/inline")}]],
    }
    sidecar = {**leaf("one", "python:3.12"), "sidecars": [{"name": "db", "image": "influxdb:1.2"}]}
    handler, unused = leaf("bye", "x/exit"), leaf("unused", "x/unused")
    told = check_images(plan(steps, sidecar, handler, unused, onExit="bye"), Images(), any_image=False)
    assert [text.partition(" is not known")[0] for text in sorted(told)] == [
        "template '': image 'x/inline'",
        "template 'bye': image 'x/exit'",
        "template 'one': image 'influxdb:1.2'",
    ]
    assert check_images(plan(leaf("main", "x/y")), Images(), any_image=True) == []
    assert check_images(plan(leaf("main", "x/y")), Images(), any_image=False, exact=True) == []


def test_an_image_that_a_variable_tells_is_left_for_later() -> None:
    template = {
        **leaf("main", "{{inputs.parameters.image}}"),
        "inputs": {"parameters": [{"name": "image", "value": "a"}]},
    }
    assert check_images(plan(template), Images(), any_image=False) == []


ENTRY = Image("host", entrypoint=("entry", "-x"), cmd=("cmd",))


@pytest.mark.parametrize(
    ("command", "args", "argv"),
    [
        ([], [], ("entry", "-x", "cmd")),
        ([], ["a"], ("entry", "-x", "a")),
        (["c"], [], ("c",)),
        (["c"], ["a", 1], ("c", "a", "1")),
    ],
)
def test_command_and_args_replace_those_of_the_image(
    command: list[str], args: list[Any], argv: tuple[str, ...]
) -> None:
    assert arguments("i", ENTRY, command, args) == argv


@pytest.mark.parametrize(("image", "said"), [("python:3", "nothing to do"), ("any", "write the command out")])
def test_an_image_that_would_start_a_dialogue_is_refused(image: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        arguments(image, Images().choose(image, False), [], [])


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        ([], 0, "hello argo\n"),
        (["echo", "hi $HOME"], 0, "hi $HOME\n"),
        (["exit", "3"], 3, ""),
        (["exit"], 0, ""),
        (["sleep", "0"], 0, ""),
        (["sh", "-c", "echo in"], 0, "in\n"),
        (["dance"], 1, ""),
    ],
)
def test_argosay_says_what_argos_image_does(words: list[str], code: int, out: str, tmp_path: Path) -> None:
    install_shims(tmp_path)
    install_shims(tmp_path)
    done = subprocess.run([tmp_path / "argosay", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, out)


def test_argosay_writes_and_reads_files(tmp_path: Path) -> None:
    install_shims(tmp_path)
    file = tmp_path / "a dir" / "f"
    for words, code in [
        (["echo", "one", file], 0),
        (["cat", file], 0),
        (["assert_contains", file, "one"], 0),
        (["assert_contains", file, "two"], 1),
    ]:
        assert subprocess.run([tmp_path / "argosay", *words], capture_output=True, check=False).returncode == code
    assert file.read_text() == "one\n"
    cow = subprocess.run([tmp_path / "cowsay", "moo", "; id"], capture_output=True, text=True, check=True)
    assert "< moo ; id >" in cow.stdout
