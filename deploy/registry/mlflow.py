"""MLflow's REST API: versions, aliases and tags of registered models, and the bytes of their files.

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html; files come by the route that its own page uses,
`/model-versions/get-artifact`, which the server answers whatever store the files lie in.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from deploy.folder import MOST_FILES, digest_of_files
from deploy.forges.errors import Declined
from deploy.forges.http import JsonClient, Login, part
from deploy.git.access import Vault, trust
from deploy.git.spec import Secret
from deploy.names import one_line
from deploy.registry.spec import Mlflow
from deploy.registry.spoken import Entry, Run, Version, listing_of, metrics_of, run_of, version_of
from retrain.errors import ConfigError, NotFound, Permanent, Transient
from retrain.events import JsonValue

API = "/api/2.0/mlflow"
STALL_S = 60.0
"""How long a file may give nothing at all."""
MOST_BYTES = 64 << 30
"""Bytes of a model that are read for its digest."""


class AliasAbsent(NotFound):
    """The model is there, and has no such alias."""


class MlflowHttp(JsonClient):
    """Its JSON, and the digests of its files."""

    async def sha256_of(self, path: str, query: Mapping[str, str], most: int) -> tuple[str, int]:
        """The hex digest and the size of a file, of which only a piece is in memory.

        Raises:
            Transient: it cannot be read now. Permanent: it cannot be read, or has more than `most` bytes.
        """
        import aiohttp

        login = await self._authorize()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=STALL_S)
        digest, size = sha256(), 0
        try:
            async with self._session.get(
                f"{self.base}{path}", params=query, headers=login.headers, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    words = f"{self.base}{path}: MLflow answers {answer.status} for the file {query.get('path')!r}"
                    raise Transient(words) if answer.status >= 500 or answer.status == 429 else Permanent(words)
                async for chunk in answer.content.iter_any():
                    digest.update(chunk)
                    size += len(chunk)
                    if size > most:
                        answer.close()
                        raise Permanent(
                            f"the model has more than {MOST_BYTES} bytes; write registry.mlflow.digest: tag"
                        )
        except self._errors as error:
            reason = login.redact(one_line(str(error) or type(error).__name__, 200))
            raise Transient(f"{self.base} cannot be reached: {reason}") from None
        return digest.hexdigest(), size


class MlflowClient:
    """One server. Get it from `open_mlflow`.

    All of its methods raise Transient (away, or in trouble), AuthFailed (401, 403), Permanent (it says no) and
    ConfigError (a secret holds what it cannot), besides what they name.
    """

    def __init__(self, http: MlflowHttp) -> None:
        self._http = http

    async def version(self, model: str, number: str) -> Version:
        """A version by its number.

        Raises:
            NotFound: there is no such model, or it has no such version.
        """
        query = {"name": model, "version": number}
        try:
            return version_of((await self._http.ask("GET", f"{API}/model-versions/get", query=query)).body)
        except NotFound:
            await self._check_model(model)
            raise NotFound(f"registered model {model!r} has no version {number}") from None

    async def at_alias(self, model: str, alias: str) -> Version:
        """The version that an alias points to now.

        Raises:
            NotFound: there is no such model. AliasAbsent: it has no such alias.
        """
        query = {"name": model, "alias": alias}
        try:
            return version_of((await self._http.ask("GET", f"{API}/registered-models/alias", query=query)).body)
        except (NotFound, Declined) as error:
            # MLflow answers 400 for an alias that is not there, Databricks 404.
            if isinstance(error, Declined) and "not found" not in error.said.lower():
                raise
            await self._check_model(model)
            raise AliasAbsent(f"registered model {model!r} has no alias {alias!r}") from None

    async def alias(self, model: str, alias: str) -> str | None:
        """The number of the version that an alias points to; None where there is no such alias.

        Raises:
            NotFound: there is no such model.
        """
        try:
            return (await self.at_alias(model, alias)).version
        except AliasAbsent:
            return None

    async def uri(self, version: Version) -> str:
        """Where its files lie."""
        query = {"name": version.model, "version": version.version}
        body = (await self._http.ask("GET", f"{API}/model-versions/get-download-uri", query=query)).body
        found = body.get("artifact_uri") if isinstance(body, dict) else None
        return found if isinstance(found, str) else version.source

    async def run(self, version: Version) -> Run:
        """The run that made it, as far as it is known; with the metrics of the logged model over its own."""
        run = await self._run(version.run_id) if version.run_id else Run()
        if (logged := version.logged_model) is None:
            return run
        body = (await self._http.ask("GET", f"{API}/logged-models/{part(logged)}")).body
        model: Any = body.get("model") if isinstance(body, dict) else None
        data: Any = model.get("data") if isinstance(model, dict) else None
        more = metrics_of(data) if isinstance(data, dict) else {}
        return Run(run.run_id, run.artifacts, {**run.metrics, **more}, run.parameters, run.dataset)

    async def _run(self, run_id: str) -> Run:
        try:
            return run_of((await self._http.ask("GET", f"{API}/runs/get", query={"run_id": run_id})).body)
        except NotFound:
            return Run()  # versions outlive their runs

    async def digest(self, version: Version, run: Run) -> str:
        """The digest of all its files, each read once; see `deploy.folder`.

        Raises:
            Permanent: they cannot be listed through MLflow, or are too many or too large.
        """
        found: dict[str, str] = {}
        left = MOST_BYTES
        for path in await self._paths(version, run):
            query = {"name": version.model, "version": version.version, "path": path}
            found[path], size = await self._http.sha256_of("/model-versions/get-artifact", query, left)
            left -= size
        return digest_of_files(found)

    async def set_alias(self, model: str, alias: str, number: str) -> None:
        """Let an alias point to a version; it leaves the one before."""
        body: JsonValue = {"name": model, "alias": alias, "version": number}
        await self._http.ask("POST", f"{API}/registered-models/alias", body)

    async def set_tag(self, model: str, number: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        body: JsonValue = {"name": model, "version": number, "key": key, "value": value}
        await self._http.ask("POST", f"{API}/model-versions/set-tag", body)

    async def delete_tag(self, model: str, number: str, key: str) -> None:
        """Take a tag from a version; nothing where it has none."""
        body: JsonValue = {"name": model, "version": number, "key": key}
        try:
            await self._http.ask("DELETE", f"{API}/model-versions/delete-tag", body)
        except NotFound:
            return

    async def _check_model(self, model: str) -> None:
        try:
            await self._http.ask("GET", f"{API}/registered-models/get", query={"name": model})
        except NotFound:
            raise NotFound(f"{self._http.base} has no registered model {model!r}") from None

    async def _paths(self, version: Version, run: Run) -> list[str]:
        """The paths of all files in the model, sorted."""
        found: list[str] = []
        folders = [""]
        while folders:
            for entry in await self._listed(version, run, folders.pop()):
                (folders if entry.folder else found).append(entry.path)
                if len(found) + len(folders) > MOST_FILES:
                    raise Permanent(f"the model has more than {MOST_FILES} files; write registry.mlflow.digest: tag")
        if not found:
            raise Permanent(f"MLflow lists no files in version {version.version} of {version.model!r}")
        return sorted(found)

    async def _listed(self, version: Version, run: Run, folder: str) -> list[Entry]:
        """One folder of the model, with paths from the model's own root."""
        if (logged := version.logged_model) is not None:
            query = {"artifact_directory_path": folder} if folder else {}
            path = f"{API}/logged-models/{part(logged)}/artifacts/directories"
            return listing_of((await self._http.ask("GET", path, query=query)).body)
        root = _below(version.uri, run.artifacts)
        if root is None:
            words = (
                f"the files of version {version.version} of {version.model!r} lie at {version.uri[:200]}, outside of"
            )
            raise Permanent(f"{words} its run: MLflow does not list them; write registry.mlflow.digest: tag")
        query = {"run_id": run.run_id, "path": "/".join(one for one in (root, folder) if one)}
        listed = listing_of((await self._http.ask("GET", f"{API}/artifacts/list", query=query)).body)
        start = len(root) + 1 if root else 0
        return [Entry(one.path[start:], one.folder) for one in listed]


def _below(uri: str, root: str) -> str | None:
    """The path of an address below another; None where it is not below it."""
    here, above = uri.rstrip("/"), root.rstrip("/")
    if not above or not (here == above or here.startswith(f"{above}/")):
        return None
    return here[len(above) :].strip("/")


@asynccontextmanager
async def open_mlflow(spec: Mlflow, vault: Vault) -> AsyncGenerator[MlflowClient]:
    """The server, for as long as the block runs. Nothing is asked of it yet.

    Raises:
        Transient: the secret of `ca` is not there.
        ConfigError: it is no certificate.
    """

    async def authorize() -> Login:
        # Read for each request: a token may be changed while the platform runs.
        return _login(spec, vault)

    http = MlflowHttp(spec.url, authorize, trust(spec.ca, vault, "registry.mlflow.ca"))
    try:
        yield MlflowClient(http)
    finally:
        await http.aclose()


def _login(spec: Mlflow, vault: Vault) -> Login:
    if spec.token is not None:
        token = _visible(vault.read(spec.token), spec.token)
        return Login({"Authorization": f"Bearer {token}"}, (token,))
    if spec.password is None:
        return Login({}, ())
    username = vault.read(spec.username) if isinstance(spec.username, Secret) else spec.username or ""
    password = vault.read(spec.password)
    both = b64encode(f"{username}:{password}".encode()).decode()
    return Login({"Authorization": f"Basic {both}"}, (password, both))


def _visible(value: str, secret: Secret) -> str:
    if any(ord(sign) < 33 or ord(sign) > 126 for sign in value):
        raise ConfigError(f"{secret}: holds no token of visible ASCII signs")
    return value
