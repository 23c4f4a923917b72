"""What git and forges say, told apart by what it means. The words are theirs, as seen or as they document them."""

# ruff: noqa: E501 - what servers say is on one line
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.git.errors import TABLE, Race, Rejected, classify, diagnose, diagnose_push, error_of
from retrain.errors import Permanent, Transient

WORDS = [
    ("needs-pull-request", "remote: error: GH013: Repository rule violations found\nremote: - Changes must be made through a pull request."),
    ("needs-pull-request", "remote: TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch."),
    ("unsigned", "remote: error: GH006: Protected branch update failed.\nremote: error: Commits must have verified signatures."),
    ("protected-branch", "remote: error: GH006: Protected branch update failed for refs/heads/main."),
    ("protected-branch", "remote: GitLab: You are not allowed to push code to protected branches on this project."),
    ("protected-branch", "remote: Gitea: Not allowed to push to protected branch main"),
    ("hook", "! [remote rejected] x -> main (pre-receive hook declined)"),
    ("hook", "remote: GitLab: Commit message does not follow the pattern '^JIRA'"),
    ("quota", "remote: Your push to this repository has been rejected because it is above its size limit of 10 GB"),
    ("quota", "fatal: Disk quota exceeded"),
    ("disk-full", "error: unable to write file x: No space left on device"),
    ("too-big", "remote: error: File big.bin is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB"),
    ("too-big", "error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413"),
    ("read-only", "ERROR: The key you are authenticating with has been marked as read only."),
    ("read-only", "remote: This repository was archived so it is read-only."),
    ("read-only", "remote: Write access to repository not granted.\nfatal: unable to access 'https://h/': The requested URL returned error: 403"),
    ("read-only", "error: insufficient permission for adding an object to repository database ./objects"),
    ("forbidden", "remote: Permission to a/b.git denied to c.\nfatal: unable to access 'https://h/': The requested URL returned error: 403"),
    ("credentials-missing", "fatal: could not read Username for 'https://h': terminal prompts disabled"),
    ("credentials-wrong", "remote: Invalid username or token.\nfatal: Authentication failed for 'https://h/'"),
    ("credentials-wrong", "remote: HTTP Basic: Access denied. The provided password or token is incorrect"),
    ("credentials-wrong", "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository."),
    ("credentials-expired", "remote: The token has expired\nfatal: Authentication failed for 'https://h/'"),
    ("host-key", "No ED25519 host key is known for h and you have requested strict checking.\nHost key verification failed."),
    ("tag-exists", "! [remote rejected] x -> refs/tags/v1 (cannot lock ref 'refs/tags/v1': reference already exists)"),
    ("lock", "fatal: Unable to create '/r/shallow.lock': File exists."),
    ("race", "! [rejected] x -> main (stale info)"),
    ("race", "! [remote rejected] x -> main (cannot lock ref 'refs/heads/main': is at 1 but expected 2)"),
    ("race", "! [remote rejected] x -> main (incorrect old value provided)"),
    ("tls", "fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none CRLfile: none"),
    ("tls", "fatal: unable to access 'https://h/': SSL: no alternative certificate subject name matches target host name"),
    ("dns", "fatal: unable to access 'https://h/': Could not resolve host: h"),
    ("repository-missing", "remote: Repository not found.\nfatal: repository 'https://h/x.git/' not found"),
    ("repository-missing", "fatal: '/x.git' does not appear to be a git repository"),
    ("busy", "fatal: unable to access 'https://h/': The requested URL returned error: 429"),
    ("slow", "fatal: unable to access 'https://h/': Operation too slow. Less than 1024 bytes/sec transferred the last 30 seconds"),
    ("server-error", "error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502"),
    ("unreachable", "fatal: unable to access 'https://h/': Failed to connect to h port 443: Connection refused"),
    ("unreachable", "fatal: the remote end hung up unexpectedly"),
    ("transport", "fatal: transport 'ext' not allowed"),
    ("unknown", "fatal: bad object"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "words"), WORDS)
def test_what_git_says_has_one_meaning(kind: str, words: str) -> None:
    assert diagnose(words).kind == kind


def test_every_row_of_the_table_is_shown_here() -> None:
    assert {row.kind for row in TABLE} <= {kind for kind, _ in WORDS}


def test_a_hook_s_own_words_say_more_than_that_it_declined() -> None:
    row = diagnose_push("[remote rejected] (pre-receive hook declined)", "remote: quota exceeded for ml/deploy")

    assert row.kind == "quota"


@pytest.mark.parametrize("words", ["somebody moved: fetch first", "the remote end hung up", "cannot lock ref"])
def test_a_hook_that_speaks_of_races_and_hang_ups_is_still_a_hook(words: str) -> None:
    """Otherwise it would be tried again for ever."""
    row = diagnose_push("[remote rejected] (pre-receive hook declined)", f"remote: {words}")

    assert (row.kind, type(error_of(row, words))) == ("hook", Rejected)


def test_a_refusal_in_words_that_nobody_knows_is_the_server_s_no() -> None:
    assert type(error_of(diagnose_push("[remote rejected] (mercury in retrograde)", ""), "x")) is Rejected


@given(st.text())
def test_whatever_git_says_has_a_meaning_in_one_line(words: str) -> None:
    error = classify(words)

    assert isinstance(error, Transient | Permanent)
    assert len(str(error).splitlines()) == 1


def test_only_a_moved_branch_is_judged_again_at_once() -> None:
    assert [row.kind for row in TABLE if isinstance(error_of(row, "x"), Race)] == ["race"]
