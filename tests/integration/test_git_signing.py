"""Commits that are signed, tagged and attested; what cannot be signed does not go out."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from deploy import provenance
from deploy.git import GitFailed, Rejected
from retrain.errors import ConfigError
from tests.integration.git_world import Known, intent, keygen, promote, ref, where
from tests.integration.promotion_world import Remote, document, git

pytestmark = pytest.mark.integration

SSH = {"sign": {"ssh": {"key": ref("sign", "key")}}, "email": "bot@example.com"}


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_commit_is_signed_by_an_ssh_key(tmp_path: Path, kind: str) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    key, public = keygen(tmp_path / "keys", kind=kind)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"bot@example.com {public}\n")

    _, commit, _ = promote(where(tmp_path / "data", Known(sign_key=key)), document(remote.path, commit=SSH))

    assert commit == remote.tip()
    git(remote.path, "-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", "main")
    assert not [f for f in (tmp_path / "data").rglob("*") if f.is_file() and b"PRIVATE KEY" in f.read_bytes()]


def test_an_ed25519_signature_keeps_commits_the_same(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    secrets = Known(sign_key=keygen(tmp_path / "keys")[0])
    commits: set[str] = set()
    for data in ("one", "two"):
        repository = where(tmp_path / data, secrets).repository(document(remote.path, commit=SSH))
        with repository.locked():
            from deploy.attempt import author_of

            base = repository.fetch("main")
            author = author_of(document(remote.path, commit=SSH), intent())
            commits.add(repository.commit(base, {"a/b.txt": b"x"}, "text\n", author))

    assert len(commits) == 1


@pytest.mark.parametrize(
    ("key", "error", "words"),
    [
        ("no key at all", ConfigError, "is no private key"),
        ("passphrase", ConfigError, "has a passphrase"),
    ],
)
def test_what_cannot_be_signed_is_not_pushed(tmp_path: Path, key: str, error: type[Exception], words: str) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    before = remote.tip()
    if key == "passphrase":
        file = tmp_path / "locked"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "hunter22", "-f", str(file)], check=True)
        key = file.read_text()

    with pytest.raises(error, match=words):
        promote(where(tmp_path / "data", Known(sign_key=key)), document(remote.path, commit=SSH))

    assert remote.tip() == before


@pytest.fixture(scope="module")
def gpg_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An armoured private key, and its fingerprint."""
    home = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*base, "--quick-gen-key", "Bot <bot@example.com>", "ed25519", "sign"], check=True)
    listed = subprocess.run([*base, "--with-colons", "-k"], capture_output=True, text=True, check=True).stdout
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    secret = subprocess.run([*base, "--armor", "--export-secret-keys"], capture_output=True, text=True, check=True)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    return secret.stdout, fingerprint


def gpg(key_id: str) -> dict[str, Any]:
    return {"sign": {"gpg": {"key": ref("sign", "key"), "keyId": key_id}}, "email": "bot@example.com"}


def test_a_commit_is_signed_by_gpg_and_nothing_of_it_stays(tmp_path: Path, gpg_key: tuple[str, str]) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    key, fingerprint = gpg_key
    homes = set(Path("/tmp").glob("retrain-gpg-*"))

    _, commit, _ = promote(
        where(tmp_path / "data", Known(sign_key=key)), document(remote.path, commit=gpg(fingerprint))
    )

    assert "-----BEGIN PGP SIGNATURE-----" in git(remote.path, "cat-file", "commit", str(commit))
    assert set(Path("/tmp").glob("retrain-gpg-*")) <= homes


def test_a_key_that_is_not_the_named_one_signs_nothing(tmp_path: Path, gpg_key: tuple[str, str]) -> None:
    remote = Remote.create(tmp_path / "deploy.git")

    with pytest.raises(GitFailed, match="could not be signed, nothing was pushed"):
        promote(where(tmp_path / "data", Known(sign_key=gpg_key[0])), document(remote.path, commit=gpg("A" * 40)))

    assert len(remote.commits()) == 1


def test_a_tag_goes_with_the_commit_or_neither_does(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    doc = document(remote.path, commit={"tag": True})

    _, first, _ = promote(where(tmp_path / "data"), doc)
    git(remote.path, "tag", "digits@staging/2", str(first))
    with pytest.raises(Rejected, match="the tag digits@staging/2 cannot be made"):
        promote(where(tmp_path / "data"), doc, intent("b", 2, accuracy=0.99))

    assert remote.tip() == first
    assert git(remote.path, "rev-parse", "digits@staging/1^{commit}") == first
    assert git(remote.path, "cat-file", "-t", "digits@staging/1") == "tag"


def test_where_a_model_comes_from_is_attested_beside_the_record(tmp_path: Path) -> None:
    remote = Remote.create(tmp_path / "deploy.git")
    key, public = keygen(tmp_path / "keys")
    doc = document(remote.path, commit={"provenance": {"key": ref("origin", "key")}})

    promote(where(tmp_path / "data", Known(origin_key=key)), doc)
    wish = intent()
    envelope = remote.show(provenance.file_of(doc.record_file, wish.digest)).encode()
    payload, signatures = provenance.payload_of(envelope)
    statement = orjson.loads(payload)

    assert provenance.is_signed(payload, signatures, provenance.load_public(public))
    assert not provenance.is_signed(payload + b" ", signatures, provenance.load_public(public))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["digest"] == {"sha256": wish.digest.removeprefix("sha256:")}
    assert f"Provenance-Digest: {provenance.digest(payload)}" in git(remote.path, "log", "-1", "--format=%B")
