"""Reading one object from a URL, a git repository or a bucket: bounded in size and time, and never from the machine's
own addresses unless the operator allows them.

Where it is not upstream's: TLS is verified unless `verifyCert: false` is written out, redirects are not followed, git
takes the remote's HEAD where no branch is named, nothing is cloned into a folder, symbolic links are not followed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aiohttp
import anyio
from yarl import URL

from retrain.errors import ConfigError, Permanent, Transient
from retrain.manifests.argo import KeySelector
from sensors.objects.git import GitAccess, GitReading
from sensors.objects.s3 import S3Access, read_s3
from sensors.objects.settings import RemoteSettings
from sensors.trigger_spec import S3, Git, Source, Url
from triggers.addresses import GuardedResolver, check_literal, check_server
from triggers.port import Secrets


class RemoteReading:
    """Reads places. `folder` is git's home; of `environment` git sees what names certificates and proxies."""

    def __init__(
        self, folder: Path, secrets: Secrets, environment: Mapping[str, str], settings: RemoteSettings
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._git = GitReading(folder, environment, settings)

    async def __call__(self, source: Source) -> str:
        """The text that is there now.

        Raises:
            Transient: the server is away, or busy.
            Permanent, ConfigError, NotFound: it says no, or what is written cannot be used.
        """
        if source.s3 is not None:
            data = await self._from_s3(source.s3)
        elif source.url is not None:
            data = await self._from_url(source.url)
        elif source.git is not None:
            data = await self._from_git(source.git)
        else:
            raise ConfigError("this source is not elsewhere")
        if len(data) > self._settings.max_bytes:
            raise Permanent(f"it has over {self._settings.max_bytes} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise Permanent(f"it is no text: {error}") from error

    # --- url ---

    async def _from_url(self, written: Url) -> bytes:
        url = _parse(written.path)
        settings = self._settings
        check_literal(url.host or "", settings.deny, settings.allow)
        verify = written.verify_cert or "verify_cert" not in written.model_fields_set
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(settings.deny, settings.allow), ssl=verify)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    trust_env=False,
                    auto_decompress=False,
                    headers={"User-Agent": "retrain", "Accept-Encoding": "identity"},
                ) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                _check(response.status, response.reason or "")
                return await _at_most(response, settings.max_bytes + 1)
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"no answer: {error or type(error).__name__}") from error
        except ValueError as error:  # a host that no name server can be asked for
            raise Permanent(f"{url} cannot be asked: {error}") from error

    # --- s3 ---

    async def _from_s3(self, written: S3) -> bytes:
        if not written.endpoint or written.bucket is None or not written.bucket.name or not written.bucket.key:
            raise ConfigError("s3 needs an endpoint, and a bucket with name and key")
        url = _parse(f"{'http' if written.insecure else 'https'}://{written.endpoint}")
        await check_server(url.host or "", url.port or 443, self._settings.deny, self._settings.allow)
        access = S3Access(
            self._secret(written.access_key), self._secret(written.secret_key), self._secret(written.ca_certificate)
        )
        # Its own deadlines end the thread soon after ours has passed.
        return await anyio.to_thread.run_sync(read_s3, written, access, self._settings, abandon_on_cancel=True)

    # --- git ---

    async def _from_git(self, written: Git) -> bytes:
        if written.github_app is not None:
            raise ConfigError("git.githubApp is not built yet; use creds with a token as password")
        creds = written.creds
        access = GitAccess(
            self._secret(creds.username) if creds else "",
            self._secret(creds.password) if creds else "",
            self._secret(written.ssh_key_secret),
        )
        server = self._git.server_of(written)
        if server is not None:
            await check_server(*server, self._settings.deny, self._settings.allow)
        return await anyio.to_thread.run_sync(self._git.read, written, access, abandon_on_cancel=True)

    def _secret(self, selector: KeySelector | None) -> str:
        return "" if selector is None else self._secrets.secret(selector.name, selector.key).removesuffix("\n")


def _parse(text: str) -> URL:
    try:
        url = URL(text)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is no URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or port == 0:
        raise ConfigError("a source's URL is http://HOST... or https://HOST...")
    return url


def _check(status: int, reason: str) -> None:
    if status == 200:
        return
    said = f"answered {status} {reason}".rstrip()
    if 300 <= status < 400:
        raise Permanent(f"{said}; redirects are not followed: write the final URL")
    raise Transient(said)


async def _at_most(response: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) >= most:
            break
    return bytes(data)
