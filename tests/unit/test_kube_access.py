"""What a kubeconfig says of how a server is reached: read without the official library, where it says all of it."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from retrain.errors import ConfigError
from retrain.kube import cluster
from retrain.kube.plain_config import account_access, plain_access
from tests.servers.certificates import Authority

OPENS = """\
import sys
import anyio
from retrain.kube import cluster

async def main():
    async with cluster(sys.argv[1]):
        assert "kubernetes" not in sys.modules

anyio.run(main)
"""


def config(user: dict[str, Any], **cluster: Any) -> dict[str, Any]:
    context = {"cluster": "c", "user": "u", "namespace": "team"}
    return {
        "clusters": [
            {"name": "other", "cluster": {}},
            {"name": "c", "cluster": {"server": "https://k:6443/", **cluster}},
        ],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }


def test_the_current_context_says_the_server_the_namespace_and_who_asks(tmp_path: Path) -> None:
    pair = Authority().sign()
    (tmp_path / "client.key").write_text(pair.key)
    data = base64.b64encode(pair.cert.encode()).decode()
    user = {"client-certificate-data": data, "client-key": "client.key"}

    found = plain_access(config(user, **{"tls-server-name": "kube", "certificate-authority-data": data}), tmp_path)

    assert found is not None
    assert (found.host, found.namespace, found.server_name) == ("https://k:6443", "team", "kube")
    assert found.authorization() is None
    assert found.tls().get_ca_certs() is not None


def test_a_token_and_a_name_become_the_header(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    of_file = plain_access(config({"tokenFile": "token"}), tmp_path)
    of_text = plain_access(config({"token": "t"}), tmp_path)
    of_name = plain_access(config({"username": "ann", "password": "p"}), tmp_path)
    assert of_file is not None
    assert of_text is not None
    assert of_name is not None

    assert (of_text.authorization(), of_text.waits) == ("Bearer t", False)
    assert of_name.authorization() == f"Basic {base64.b64encode(b'ann:p').decode()}"
    assert of_file.authorization() == "Bearer first"
    (tmp_path / "token").write_text("second")
    assert of_file.authorization() == "Bearer second"


def test_a_pods_account_is_read_from_its_files(tmp_path: Path) -> None:
    for name, text in (("token", "t"), ("namespace", "team\n"), ("ca.crt", Authority().cert)):
        (tmp_path / name).write_text(text)

    found = account_access("fd00::1", "443", tmp_path)

    assert (found.host, found.namespace, found.authorization()) == ("https://[fd00::1]:443", "team", "Bearer t")


@pytest.mark.parametrize("user", [{"exec": {"command": "get-token"}}, {"auth-provider": {"name": "oidc"}}])
def test_a_program_or_provider_that_gives_the_token_is_the_librarys(user: dict[str, Any]) -> None:
    assert plain_access(config(user), Path()) is None


@pytest.mark.parametrize(
    "wrong", ["- a", "current-context: x", yaml.safe_dump(config({"client-key-data": "%"})), "{", "a: 1"]
)
async def test_what_is_no_kubeconfig_is_told_without_its_secrets(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"kubeconfig"):
        async with cluster(wrong):
            pass


def test_a_plain_kubeconfig_does_not_import_the_library() -> None:
    """It takes 45 MB, which a pod has better uses for."""
    text = yaml.safe_dump(config({"token": "t"}))

    subprocess.run([sys.executable, "-c", OPENS, text], check=True, timeout=60)
