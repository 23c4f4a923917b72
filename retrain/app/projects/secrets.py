"""Where `secretKeyRef` and `configMapKeyRef` look: the environment, then mounted files, then the project's documents.

`RETRAIN_SECRET_<NAME>_<KEY>` (letters upper case, everything else `_`) beats a file `secrets/NAME/KEY` in the folder
that `secrets.folder` names, as Kubernetes mounts them, and that beats a `Secret` document in the project. Values are
looked up when they are needed, so that a mended or rotated one counts at once, and never written down.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from retrain.errors import NotFound


class ProjectSecrets:
    """The secrets and config values of one project."""

    def __init__(
        self,
        secrets: Iterable[Mapping[str, Any]],
        configs: Iterable[Mapping[str, Any]],
        environment: Mapping[str, str],
        folder: Path | None = None,
    ) -> None:
        """`folder` has `secrets/NAME/KEY` and `config/NAME/KEY`; None: there are no such files."""
        self._folder = folder
        self._secrets: dict[str, dict[str, str]] = {}
        self._configs: dict[str, dict[str, str]] = {}
        self.replace(secrets, configs)
        self._environment = {
            n: v for n, v in environment.items() if n.startswith(("RETRAIN_SECRET_", "RETRAIN_CONFIG_"))
        }

    def replace(self, secrets: Iterable[Mapping[str, Any]], configs: Iterable[Mapping[str, Any]]) -> None:
        """From now on these are the project's documents."""
        self._secrets = {_name(one): _secret(one) for one in secrets}
        self._configs = {_name(one): {k: str(v) for k, v in (one.get("data") or {}).items()} for one in configs}

    def secret(self, name: str, key: str) -> str:
        """The value of `key` in the secret `name`.

        Raises:
            NotFound: it is not in the environment, in a file, or in the project.
        """
        return self._find("SECRET", "secret", self._secrets, name, key)

    def config(self, name: str, key: str) -> str:
        """The value of `key` in the config map `name`.

        Raises:
            NotFound: it is not in the environment, in a file, or in the project.
        """
        return self._find("CONFIG", "config map", self._configs, name, key)

    def secrets(self) -> dict[str, dict[str, str]]:
        """The secrets of the project's documents, for steps that refer to them."""
        return self._secrets

    def configs(self) -> dict[str, dict[str, str]]:
        """The config maps of the project's documents, for steps that refer to them."""
        return self._configs

    def _find(self, word: str, noun: str, values: Mapping[str, Mapping[str, str]], name: str, key: str) -> str:
        variable = f"RETRAIN_{word}_{_upper(name)}_{_upper(key)}"
        if (found := self._environment.get(variable)) is not None:
            return found
        if (text := self._in_file("secrets" if word == "SECRET" else "config", name, key)) is not None:
            return text
        try:
            return values[name][key]
        except KeyError:
            raise NotFound(
                f"no {noun} {name!r} has a key {key!r}: set {variable}, or put the {noun} in the project"
            ) from None

    def _in_file(self, kind: str, name: str, key: str) -> str | None:
        # Names come from manifests: they are names of files, never ways to other folders.
        if self._folder is None or any(part in {"", ".", ".."} or "/" in part or "\0" in part for part in (name, key)):
            return None
        try:
            return (self._folder / kind / name / key).read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def __repr__(self) -> str:
        return "ProjectSecrets(...)"  # a traceback that shows its locals must not show these


def _name(document: Mapping[str, Any]) -> str:
    return str((document.get("metadata") or {}).get("name", ""))


def _secret(document: Mapping[str, Any]) -> dict[str, str]:
    coded = {key: b64decode(value).decode() for key, value in (document.get("data") or {}).items()}
    return {**coded, **{key: str(value) for key, value in (document.get("stringData") or {}).items()}}


def _upper(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()
