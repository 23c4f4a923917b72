"""What an `image` means on this machine: which interpreter and programs a step gets, and what it runs by itself.

Without a container engine no image is there. A table says what stands in for one: the Python that Retrain runs under,
a virtual environment, this machine's own tools, or a small program that does what the image's own would. What the
table does not know is refused before anything starts, for a step that runs with other programs than it was written for
gives other results.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Literal, cast

from pipelines.core.plan import Plan
from pipelines.local.programs import install_shims, python_folder, small_folder
from pipelines.local.reach import reachable_templates
from pipelines.local.shapes import containers_of
from retrain.errors import ConfigError

Kind = Literal["this", "host", "venv", "shim"]
_DOCKER_HUB = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/", "library/")


@dataclass(frozen=True, slots=True)
class Image:
    """What stands in for an image.

    `entrypoint` and `cmd` are the image's own, used where a template has no `command` or no `args`. `needs`: a program
    without which it is as if the table did not know the image. `small`: its shell is BusyBox's, as in Alpine.
    """

    kind: Kind
    venv: Path | None = None
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    needs: str = ""
    small: bool = False

    def folders(self, place: Path) -> list[Path]:
        """The directories that come first on PATH, the first with `python` and `python3` in it; those that are not
        there are made in `place`.

        Raises:
            OSError: one cannot be made.
        """
        found = [self._python_folder(place)]
        if self.kind == "shim":
            install_shims(place)
            found.append(place)
        if self.small:
            found.append(small_folder(place / "small"))
        return found

    def _python_folder(self, place: Path) -> Path:
        if self.venv is None:
            return python_folder(place / "python")
        return python_folder(
            place / f"python-{sha256(os.fsencode(self.venv)).hexdigest()[:12]}", self.venv / "bin/python"
        )


_HOST = Image("host")
_SHELL = Image("host", cmd=("sh",))
_SMALL = Image("host", cmd=("sh",), small=True)
_ARGOSAY = Image("shim", entrypoint=("argosay",), small=True)
_COWSAY = Image("shim", cmd=("bash",))
BUILT_IN: tuple[tuple[str, Image], ...] = (
    ("any:*", _HOST),
    ("host:*", _HOST),
    ("python:*", Image("this", cmd=("python3",))),
    ("busybox:*", _SMALL),
    ("alpine:*", _SMALL),
    ("debian:*", Image("host", cmd=("bash",))),
    ("ubuntu:*", Image("host", cmd=("bash",))),
    ("bash:*", Image("host", cmd=("bash",), needs="bash")),
    ("argoproj/argosay:*", _ARGOSAY),
    ("docker/whalesay:*", _COWSAY),
    ("curlimages/curl:*", Image("host", entrypoint=("curl",), needs="curl", small=True)),
    ("stedolan/jq:*", Image("host", entrypoint=("jq",), needs="jq")),
    ("alpine/git:*", Image("host", entrypoint=("git",), needs="git", small=True)),
    ("node:*", Image("host", cmd=("node",), needs="node")),
    ("golang:*", Image("host", cmd=("bash",), needs="go")),
    ("nginx:*", Image("host", cmd=("nginx", "-g", "daemon off;"), needs="nginx")),
)  # fmt: skip
"""The last word, after the project's own table."""

_INTERPRETERS = re.compile(r"(?:python[0-9.]*|node|irb|ipython)")


def plain_reference(image: str) -> str:
    """An image's name with its tag, as people write it: no Docker Hub in front, no digest, `latest` where none is."""
    name = image.strip().partition("@")[0]
    for prefix in _DOCKER_HUB:
        if name.startswith(prefix):
            name = name[len(prefix) :]
            break
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


@dataclass(frozen=True, slots=True)
class Images:
    """The table: (glob, what stands in), the first match wins; the project's own before the built-in."""

    own: tuple[tuple[str, Image], ...] = ()
    _seen: dict[str, Image | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, table: Mapping[str, object], project: Path) -> Images:
        """From the settings: glob -> "this", "host", "argosay", "cowsay" or {venv: PATH} (relative to the project).

        Raises:
            ConfigError: an entry is none of these, or names no virtual environment.
        """
        return cls(tuple((_pattern(glob), _entry(glob, value, project)) for glob, value in table.items()))

    def find(self, image: str) -> Image | None:
        """What stands in for an image; None if the table does not know it."""
        if image not in self._seen:
            self._seen[image] = self._find(plain_reference(image))
        return self._seen[image]

    def _find(self, name: str) -> Image | None:
        for glob, entry in self.own:
            if fnmatchcase(name, glob):
                return entry
        for glob, entry in BUILT_IN:
            if fnmatchcase(name, glob) and (not entry.needs or shutil.which(entry.needs)):
                return replace(entry, small=True) if "alpine" in name.rpartition(":")[2] else entry
        return None

    def missing(self, image: str) -> str:
        """Why `find` has nothing, and what would help."""
        needed = [e.needs for glob, e in BUILT_IN if e.needs and fnmatchcase(plain_reference(image), glob)]
        lacks = f" ({needed[0]} is not on this machine)" if needed else ""
        return (
            f"image {image!r} is not known here{lacks}: say in retrain.yaml what stands in for it "
            "(pipelines.images), run it with --engine docker or podman, or pass --any-image to use this machine's tools"
        )

    def choose(self, image: str, any_image: bool) -> Image:
        """What stands in for an image.

        Raises:
            ConfigError: the table does not know it, and not any image will do.
        """
        found = self.find(image)
        if found is None and not any_image:
            raise ConfigError(self.missing(image))
        return found or _HOST


def _pattern(glob: str) -> str:
    return glob if ":" in glob.rpartition("/")[2] or glob.endswith("*") else f"{glob}:*"


def _entry(glob: str, value: object, project: Path) -> Image:
    if isinstance(value, Mapping):
        given = cast("Mapping[str, object]", value)
        if set(given) == {"venv"}:
            venv = project / Path(str(given["venv"])).expanduser()
            if not (venv / "bin" / "python").exists():
                raise ConfigError(f"pipelines.images: {glob!r}: {venv} is no virtual environment (no bin/python)")
            return Image("venv", venv, cmd=("python3",))
    known = {"this": Image("this", cmd=("python3",)), "host": _SHELL, "argosay": _ARGOSAY, "cowsay": _COWSAY}
    if isinstance(value, str) and value in known:
        return known[value]
    raise ConfigError(f"pipelines.images: {glob!r}: must be {', '.join(known)} or {{venv: PATH}}, not {value!r}")


def arguments(image: str, entry: Image, command: Iterable[object], args: Iterable[object]) -> tuple[str, ...]:
    """The argument list of a container, as Kubernetes makes it of a template and its image.

    Raises:
        ConfigError: the image would start a dialogue, or nothing says what to run.
    """
    given, words = tuple(str(one) for one in command), tuple(str(one) for one in args)
    if given:
        return (*given, *words)
    argv = (*entry.entrypoint, *(words or entry.cmd))
    if not argv:
        raise ConfigError(f"the entrypoint of image {image!r} is not known here: write the command out")
    if not words and not entry.entrypoint and _INTERPRETERS.fullmatch(argv[0]):
        raise ConfigError(f"image {image!r} alone starts {argv[0]} with nothing to do: write a command")
    return argv


def check_images(plan: Plan, images: Images, *, any_image: bool, exact: bool = False) -> list[str]:
    """Every image of a workflow that cannot be had here, each said once with the first template that wants it.

    `exact`: a container engine runs the steps, and knows for itself. An image with a `{{variable}}` in it is looked at
    when it is known, as the step starts.
    """
    if exact or any_image:
        return []
    problems: dict[str, str] = {}
    for name, image in _wanted(plan):
        if "{{" not in image and image not in problems and images.find(image) is None:
            problems[image] = f"template {name!r}: {images.missing(image)}"
    return list(problems.values())


def _wanted(plan: Plan) -> Iterator[tuple[str, str]]:
    for template in reachable_templates(plan):
        for container in containers_of(template):
            yield str(template.get("name") or ""), str(container.get("image") or "")
