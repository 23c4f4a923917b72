"""`promotions verify`: true commits hold, and every kind of forgery is seen."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from retrain.cli.promotion_verify import verify
from retrain.errors import ConfigError, NotFound
from tests.integration import promotion_world
from tests.integration.git_world import Known, intent, keygen, promote, ref, where
from tests.integration.promotion_world import Remote, document, git

pytestmark = pytest.mark.integration

RECORD = ".retrain/digits/staging.json"


@dataclass
class Signed:
    """A repository with two promotions, all of it signed; the second model is a file here."""

    remote: Remote
    folder: Path
    commit: str

    def verify(self, commit: str = "main", *more: str) -> Result:
        words = [commit, "--repo", str(self.remote.path), "--models", str(self.folder), "-o", "json"]
        keys = ["--allowed-signers", "allowed", "--provenance-key", "origin.pub"]
        given = [word if word.startswith("-") else str(self.folder / word) for word in keys]
        return CliRunner().invoke(verify, [*words, *given, *more], catch_exceptions=False)

    def checks(self, commit: str = "main") -> dict[str, tuple[str, str]]:
        found = json.loads(self.verify(commit).output)
        return {one["check"]: (one["answer"], one["why"]) for one in found["checks"]}

    def forge(
        self,
        change: Callable[[Path], None] | None = None,
        message: str | None = None,
        *,
        record: tuple[str, str] | None = None,
    ) -> str:
        """The last commit again with other files or another message, by somebody without our key; it becomes main."""
        clone = self.folder / "forger"
        git(self.folder, "clone", "-q", str(self.remote.path), str(clone))
        if change:
            change(clone)
        if record is not None:
            file = clone / RECORD
            assert record[0] in file.read_text()
            file.write_text(file.read_text().replace(*record))
        said = message or git(clone, "log", "-1", "--format=%B")
        git(clone, "add", "-A")
        git(clone, "commit", "-q", "--amend", "-F", "-", stdin=said)
        git(clone, "push", "-q", "-f", "origin", "HEAD:main")
        return said


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    remote = Remote.create(tmp_path / "deploy.git")
    key, public = keygen(tmp_path / "keys")
    (tmp_path / "allowed").write_text(f"retrain@localhost {public}\n")
    (tmp_path / "origin.pub").write_text(public)
    (tmp_path / "model.bin").write_bytes(b"weights")
    commit = {"sign": {"ssh": {"key": ref("k", "k")}}, "provenance": {"key": ref("k", "k")}, "tag": True}
    doc, at = document(remote.path, commit=commit), where(tmp_path / "data", Known(k_k=key))
    promote(at, doc)
    digest = f"sha256:{sha256(b'weights').hexdigest()}"
    promotion_world.DIGESTS["here"] = digest
    _, sha, _ = promote(at, doc, intent("here", 2, accuracy=0.99, uri="model.bin"))
    return Signed(remote, tmp_path, str(sha))


def test_what_we_commit_holds_in_every_check(signed: Signed) -> None:
    result = signed.verify()

    assert {name: answer for name, (answer, _) in signed.checks().items()} == {
        "signature": "yes",
        "record": "yes",
        "trailers": "yes",
        "gates": "yes",
        "approvals": "unknown",
        "edits": "yes",
        "chain": "yes",
        "provenance": "yes",
        "model": "yes",
    }
    assert result.exit_code == 0
    assert json.loads(result.output)["commit"] == signed.commit


def test_it_may_be_called_by_tag_by_sha_and_by_an_earlier_place(signed: Signed) -> None:
    for name in (signed.commit, signed.commit[:12], "digits@staging/2", "main"):
        assert json.loads(signed.verify(name).output)["commit"] == signed.commit
    assert signed.checks("main~1")["chain"] == ("yes", "1 records, each names the one before")
    assert signed.checks("main~1")["model"][0] == "unknown"


def test_other_bytes_under_the_model_s_name_are_seen(signed: Signed) -> None:
    (signed.folder / "model.bin").write_bytes(b"poison")

    assert signed.checks()["model"][0] == "no"
    assert signed.verify().exit_code == 1


def test_a_change_beside_the_edits_is_seen(signed: Signed) -> None:
    def other(clone: Path) -> None:
        (clone / "README.md").write_text("bye\n")

    signed.forge(other)

    checks = signed.checks()
    assert checks["signature"] == ("no", "the commit is not signed")
    assert checks["edits"] == ("no", "the commit also changes README.md")


def test_a_change_in_an_edited_file_is_seen(signed: Signed) -> None:
    def comment(clone: Path) -> None:
        file = clone / "overlays/staging/model.yaml"
        file.write_text(file.read_text().replace("# flow", "# flaw"))

    signed.forge(comment)

    assert signed.checks()["edits"][1].endswith("more changed than the record says")


@pytest.mark.parametrize(
    ("record", "check"),
    [
        (('"verdict": "pass"', '"verdict": "fail"'), "gates"),
        (('"run": "r-here"', '"run": "r-other"'), "trailers"),
        (('"approvals": []', '"approvals": [{"actor": "ceo", "subject": "x"}]'), "approvals"),
        (('"previousRecord": "sha256:', '"previousRecord": "sha256:0'), "chain"),
        (('"name": "digits"', '"name": "other"'), "record"),
    ],
)
def test_a_record_that_was_changed_is_seen(signed: Signed, record: tuple[str, str], check: str) -> None:
    signed.forge(record=record)

    assert signed.checks()[check][0] == "no"


def test_an_approval_that_only_the_message_knows_is_seen(signed: Signed) -> None:
    message = git(signed.remote.path, "log", "-1", "--format=%B").rstrip() + "\nApproved-By: ceo (admin) 2026\n"
    signed.forge(message=message)

    assert signed.checks()["approvals"] == ("no", "the message names ceo, the record nobody")


def test_a_repository_that_would_run_a_program_of_its_own_does_not(signed: Signed) -> None:
    touched = signed.folder / "touched"
    evil = signed.folder / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {touched}\n")
    evil.chmod(0o755)
    for name in ("gpg.program", "gpg.ssh.program", "core.fsmonitor", "core.sshCommand", "uploadpack.packObjectsHook"):
        git(signed.remote.path, "config", name, str(evil))

    assert signed.checks()["signature"][0] == "yes"
    assert not touched.exists()


@pytest.mark.parametrize("name", ["--upload-pack=x", "-c", "a..b", "main:README.md", "nope", "main^{tree}"])
def test_what_is_no_commit_is_refused(signed: Signed, name: str) -> None:
    with pytest.raises((ConfigError, NotFound), match=r"is no commit|has no commit"):
        CliRunner().invoke(
            verify, ["--repo", str(signed.remote.path), "--", name], catch_exceptions=False, standalone_mode=False
        )


def test_a_commit_of_somebody_is_no_promotion(signed: Signed) -> None:
    signed.remote.human({"README.md": "x\n"})

    with pytest.raises(ConfigError, match="the commit is no promotion"):
        CliRunner().invoke(verify, ["main", "--repo", str(signed.remote.path)], catch_exceptions=False)


def test_a_gpg_signature_is_judged_too(tmp_path: Path) -> None:
    home = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    base = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    subprocess.run([*base, "--quick-gen-key", "Bot <bot@example.com>", "ed25519", "sign"], check=True)
    listed = subprocess.run([*base, "--with-colons", "-k"], capture_output=True, text=True, check=True).stdout
    fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
    secret, public = (
        subprocess.run([*base, "--armor", flag], capture_output=True, text=True, check=True).stdout
        for flag in ("--export-secret-keys", "--export")
    )
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
    remote = Remote.create(tmp_path / "deploy.git")
    commit = {"sign": {"gpg": {"key": ref("k", "k"), "keyId": fingerprint}}}
    promote(where(tmp_path / "data", Known(k_k=secret)), document(remote.path, commit=commit))
    (tmp_path / "public").write_text(public)

    found = CliRunner().invoke(
        verify,
        ["main", "--repo", str(remote.path), "--gpg-keys", str(tmp_path / "public"), "-o", "json"],
        catch_exceptions=False,
    )

    assert json.loads(found.output)["checks"][0] == {
        "check": "signature",
        "answer": "yes",
        "why": f"good signature of {fingerprint}",
    }
