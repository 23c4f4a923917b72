"""The image: what the Dockerfile makes of this work tree."""

from __future__ import annotations

import json
import re
import tomllib
from email.parser import HeaderParser
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.platform_image import ROOT

if TYPE_CHECKING:
    from tests.servers.platform_image import PlatformImage

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]

SITE = "opt/retrain/lib/python3.11/site-packages"
SBOM = "usr/share/sbom/retrain.cdx.json"
DPKG = "var/lib/dpkg/status"
LARGEST = 425_000_000
"""Bytes of all layers. It was 406 million when this was written, 77 of them Debian."""


@pytest.fixture(scope="module")
def files(image: PlatformImage) -> dict[str, bytes]:
    return image.files(lambda path: path in {SBOM, DPKG} or (path.startswith(SITE) and path.endswith("/METADATA")))


@pytest.fixture(scope="module")
def sbom(files: dict[str, bytes]) -> dict[str, Any]:
    return json.loads(files[SBOM])


def test_it_runs_as_nobody_in_particular_and_starts_the_platform(image: PlatformImage) -> None:
    config = image.config()

    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["tini", "--", "retrain"]
    assert config["Cmd"] == ["up", "/etc/retrain", "--data", "/var/lib/retrain"]


def test_its_labels_say_what_it_is_and_where_its_parts_are_listed(image: PlatformImage) -> None:
    labels = image.config()["Labels"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert labels["org.opencontainers.image.description"] == project["description"]
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", labels["org.opencontainers.image.revision"])
    assert labels["dev.retrain.sbom"] == f"/{SBOM}"


def test_there_is_nothing_in_it_to_build_programs_with(files: dict[str, bytes]) -> None:
    programs = {PurePosixPath(path).name for path in files if re.search(r"(^|/)s?bin/", path)}

    assert "python3" in programs  # else this looked at nothing
    assert not programs & {"gcc", "cc", "c99", "g++", "clang", "ld", "as", "make", "go", "rustc", "pip", "pip3", "uv"}
    assert not [path for path in files if path.endswith(".h") and path.startswith("usr/include")]


def test_it_is_not_larger_than_it_was(image: PlatformImage) -> None:
    assert image.archive.stat().st_size < LARGEST


def test_every_installed_distribution_is_in_the_bill_of_materials(
    files: dict[str, bytes], sbom: dict[str, Any]
) -> None:
    installed = {_named(files[path]) for path in files if path.endswith(".dist-info/METADATA")}
    ours = sbom["metadata"]["component"]
    listed = {(_normal(one["name"]), one["version"]) for one in [ours, *sbom["components"]]}

    assert len(installed) > 50
    assert installed - listed == set()
    assert all(
        one["externalReferences"][0]["hashes"][0]["alg"] == "SHA-256"
        for one in sbom["components"]
        if one["purl"].startswith("pkg:pypi/")
    )


def test_nothing_is_in_the_bill_of_materials_that_is_not_installed(
    files: dict[str, bytes], sbom: dict[str, Any]
) -> None:
    installed = {_named(files[path])[0] for path in files if path.endswith(".dist-info/METADATA")}
    listed = {_normal(one["name"]) for one in sbom["components"] if one["purl"].startswith("pkg:pypi/")}

    assert listed - installed == set()


def test_debians_packages_are_in_the_bill_of_materials(files: dict[str, bytes], sbom: dict[str, Any]) -> None:
    parser = HeaderParser()
    rows = [parser.parsestr(one) for one in files[DPKG].decode().split("\n\n") if one.strip()]
    installed = {(row["Package"], row["Version"]) for row in rows if row["Status"] == "install ok installed"}
    listed = {(one["name"], one["version"]) for one in sbom["components"] if one["purl"].startswith("pkg:deb/")}

    assert {name for name, _ in installed} >= {"git", "python3", "ca-certificates"}
    assert listed == installed


def test_all_of_the_project_is_compiled_and_taken_without_a_look_at_its_source(image: PlatformImage) -> None:
    room = f"{SITE}/pipelines/"
    files = image.files(lambda path: path.startswith(room) and path.endswith(".pyc"))
    sources = {path for path in files if path.startswith(room) and path.endswith(".py")}
    compiled = {path: content for path, content in files.items() if path.startswith(room) and path.endswith(".pyc")}

    assert sources
    assert len(compiled) == len(sources)
    # PEP 552: flags 1 in the second word mean a hash that is not compared.
    assert {content[4:8] for content in compiled.values()} == {b"\1\0\0\0"}


def _named(metadata: bytes) -> tuple[str, str]:
    row = HeaderParser().parsestr(metadata.decode())
    return _normal(row["Name"]), row["Version"]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
