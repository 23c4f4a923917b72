"""What is in the image, as CycloneDX: `sbom.py LOCK ENVIRONMENT DEBIAN` writes it to stdout.

LOCK is what `uv export --format cyclonedx1.5` says of the lock: files, sums, who needs whom. Of it stays what is
installed in ENVIRONMENT; licences are added, and the packages that DEBIAN lists. Runs on the image's own Python alone.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def main(lock: Path, environment: Path, system: Path) -> None:
    """Write the list. Ends with an error where something is installed that is not in the lock."""
    bom: dict[str, Any] = json.loads(lock.read_text())
    places = [str(place) for place in environment.glob("lib/python3*/site-packages")]
    installed = {normal(one.name): one for one in distributions(path=places)}
    components = [one for one in bom["components"] if normal(one["name"]) in installed]
    if missing := installed.keys() - {normal(one["name"]) for one in components}:
        sys.exit(f"installed, and not in the lock: {', '.join(sorted(missing))}")
    for one in components:
        one.update(licences(installed[normal(one["name"])]))
    bom["components"] = [*components, *debian(system.read_text())]
    kept = {bom["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in components)}
    bom["dependencies"] = [narrowed(one, kept) for one in bom["dependencies"] if one["ref"] in kept]
    json.dump(bom, sys.stdout, indent=1)


def normal(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licences(found: Distribution) -> dict[str, Any]:
    """What a distribution says of its licence: an expression, or the last words of its classifiers."""
    if expression := found.metadata["License-Expression"]:
        return {"licenses": [{"expression": expression}]}
    classifiers = [one for one in found.metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    return (
        {"licenses": [{"license": {"name": one.rpartition(" :: ")[2]}} for one in classifiers]} if classifiers else {}
    )


def narrowed(needs: dict[str, Any], kept: set[str]) -> dict[str, Any]:
    """A row of who needs whom, without those that are not there."""
    return {**needs, "dependsOn": [ref for ref in needs.get("dependsOn", ()) if ref in kept]}


def debian(rows: str) -> list[dict[str, Any]]:
    """Debian's packages, of a list with name, version and architecture in each line."""
    return [
        {"type": "library", "bom-ref": f"deb-{name}@{version}", "name": name, "version": version,
         "purl": f"pkg:deb/debian/{name}@{version}?arch={architecture}&distro=debian-12"}
        for name, version, architecture in (line.split() for line in rows.splitlines())
    ]  # fmt: skip


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
