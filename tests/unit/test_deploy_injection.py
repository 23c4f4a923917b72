"""What comes from outside never becomes a git option, another path, a transport, a trailer or a template."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy import PromotionDocument, check
from deploy import candidate as candidates
from deploy import record as records
from deploy.git import AuthFailed, GitFailed, Race, Rejected, classify
from deploy.names import check_branch, check_digest, check_file, check_uri, check_url, one_line
from deploy.render import check as check_template
from deploy.render import render, render_message
from retrain.errors import ConfigError, Refused, Transient

URLS = [
    "", "-x", "--upload-pack=touch x", "ext::sh -c 'touch x'", "fd::17", "::x", "http://h/x", "git://h/x", "ftp://h/x",
    "https://user:secret@h/x", "https://token@h/x", "https://h", "https:///x", "https://-oProxyCommand=x/x",
    "ssh://-oProxyCommand=touch/x", "ssh://-x@h/y", "ssh://u:p@h/x", "file://h/x", "file://x", "a@-h:x", "a@h:-x",
    "a\nb", "https://h/x\n--upload-pack=y", "https://h:port/x", "c:\\x", "host:path", "\x00", "a\u2028b",
]  # fmt: skip
BRANCHES = [
    "", "-x", "--force", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "@{u}", "a//b", "/a", "a/",
    "a.lock",
    "a.lock/b", ".a", "a/.b", "a.", "HEAD", "@", "refs/heads/x", "main\n", "main\x00", "+main", "x" * 201,
]  # fmt: skip
FILES = [
    "", "/etc/passwd", "../x", "a/../../x", "./x", "a//b", "a/", ".git/config", "a/.GIT/hooks/x", ".git /x", "git~1/x",
    ".git::$INDEX_ALLOCATION/x", "a\\..\\x", "a\nb", "a\x00b", ".retrain/digits/staging.json", ".Retrain/x", "x" * 1025,
    "a\u202eb",
]  # fmt: skip
DIGESTS = [
    "", "x", "sha256:", "sha256:" + "a" * 63, "sha256:" + "A" * 64, "sha256:" + "a" * 65, "a" * 64,
    "sha256:" + "a" * 64 + "\n",
    "sha256:--upload-pack=x", "../" + "a" * 64, "sha512:" + "a\n" * 20,
]  # fmt: skip


@pytest.mark.parametrize("url", URLS)
def test_an_address_that_could_do_more_is_refused(url: str) -> None:
    assert check_url(url) is not None


@pytest.mark.parametrize(
    "url",
    [
        "https://h/x.git",
        "ssh://git@h:22/x",
        "git@h:x/y.git",
        "file:///a b/x",
        "/a/b",
        "../up",
        "a b/é",
        "https://[::1]/x",
    ],
)
def test_a_plain_address_is_taken(url: str) -> None:
    assert check_url(url) is None


@pytest.mark.parametrize("branch", [b for b in BRANCHES if b != "+main"])
def test_a_branch_that_is_none_is_refused(branch: str) -> None:
    assert check_branch(branch) is not None


@pytest.mark.parametrize("branch", ["main", "release/1.2", "déploiement", "a-b_c", "+main"])
def test_a_branch_is_taken(branch: str) -> None:
    assert check_branch(branch) is None


@pytest.mark.parametrize("file", FILES)
def test_a_path_that_leaves_the_tree_is_refused(file: str) -> None:
    assert check_file(file) is not None


@pytest.mark.parametrize(
    "file", ["a.yaml", "a b/é.yaml", "-x", "a/--upload-pack=x", ".github/x", "a/.retrain", "$(x)", "{{x}}"]
)
def test_a_path_in_the_tree_is_taken(file: str) -> None:
    assert check_file(file) is None


@pytest.mark.parametrize("digest", DIGESTS)
def test_a_digest_that_is_none_is_refused(digest: str) -> None:
    assert check_digest(digest) is not None
    with pytest.raises(ConfigError, match=r"candidate\.digest"):
        candidates.read({"digest": digest, "uri": "s3://x"})


@pytest.mark.parametrize("uri", ["", "a b", "a\nb", "a\u2028b", "x" * 2049])
def test_a_model_address_of_more_than_one_word_is_refused(uri: str) -> None:
    assert check_uri(uri) is not None


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text, 50)

    assert len(line) <= 50
    assert len(line.splitlines()) <= 1
    assert line == line.strip()


@given(st.dictionaries(st.sampled_from(["Retrain-Run", "Model-Uri"]), st.text()), st.text())
def test_no_value_makes_a_trailer_of_its_own(fields: dict[str, Any], text: str) -> None:
    message = records.message("subject {x}" + one_line(text), fields)

    block = message.rstrip("\n").split("\n\n")[1:]
    keys = [line.split(":")[0] for part in block for line in part.splitlines()]
    assert set(keys) <= set(fields)
    assert len(keys) == len(set(keys))


def test_a_value_is_never_read_as_a_template() -> None:
    facts = {"candidate": {"uri": "{{candidate.digest}}", "digest": "d", "version": "v\nApproved-By: x"}}

    assert render("{{candidate.uri}}", facts) == "{{candidate.digest}}"
    assert render("x-{{ candidate.uri }}", facts) == "x-{{candidate.digest}}"
    assert render_message("{{candidate.version}}", facts) == "v Approved-By: x"


@pytest.mark.parametrize(
    "template", ["{{x}}", "{{candidate}}", "{{candidate.__class__}}", "{{", "{{candidate.uri|upper}}", "}}"]
)
def test_a_template_that_names_more_is_refused(template: str) -> None:
    assert check_template(template) is not None


@pytest.mark.parametrize("name", ["candidate.metrics", "candidate.version", "candidate.parameters.x"])
def test_a_template_without_its_value_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="candidate"):
        render(f"{{{{{name}}}}}", {"candidate": {"metrics": {}, "version": None, "parameters": {}}})


SSH = {"ssh": {"key": {"env": "K"}, "knownHosts": {"env": "H"}}}


def manifest(**spec: Any) -> dict[str, Any]:
    body = {
        "repo": {"url": "/x"},
        "environment": "prod",
        "edits": [{"file": "a.yaml", "path": "a", "value": "{{candidate.uri}}"}],
        "gates": [{"name": "g", "kind": "threshold", "metric": "m", "min": 1}],
        **spec,
    }
    return {"apiVersion": "retrain.dev/v1", "kind": "Promotion", "metadata": {"name": "digits"}, "spec": body}


@pytest.mark.parametrize(
    "spec",
    [
        {"environment": "../prod"},
        {"environment": "a\nb"},
        {"commit": {"name": "x <y>"}},
        {"commit": {"email": "x@y>\nparent 0"}},
        {"commit": {"name": "..."}},
        {"edits": []},
        {"surprise": 1},
        {"repo": {"url": "https://h/x", "credentials": {"token": "hunter2"}}},
        {"repo": {"url": "https://h/x", "credentials": {"token": {"env": "A B"}}}},
        {"repo": {"url": "https://h/x", "credentials": {"token": {"env": "A", "file": "b"}}}},
        {"repo": {"url": "https://h/x", "credentials": {"username": "a\nb", "token": {"env": "A"}}}},
        {"repo": {"url": "https://h/x", "credentials": {"password": {"env": "A"}}}},
        {"repo": {"url": "https://h/x", "credentials": {"token": {"env": "A"}, **SSH}}},
        {"commit": {"sign": {}}},
        {"commit": {"sign": {"gpg": {"key": {"env": "A"}, "keyId": "--output=x"}}}},
    ],
)
def test_a_manifest_that_could_do_more_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PromotionDocument.model_validate(manifest(**spec))


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({"repo": {"url": "/x", "credentials": {"token": {"env": "T"}}}}, "unsupported-field"),
        ({"repo": {"url": "git@h:x", "credentials": {"token": {"env": "T"}}}}, "unsupported-field"),
        ({"repo": {"url": "https://h/x", "credentials": SSH}}, "unsupported-field"),
        ({"repo": {"url": "git@h:x", "ca": {"env": "T"}}}, "unsupported-field"),
        ({"commit": {"provenance": {"sigstore": {}}}}, "unsupported-field"),
        ({"gates": [{"name": "g", "kind": "approval"}]}, "unsupported-kind"),
        ({"gates": [{"name": "g", "kind": "nope"}]}, "unsupported-kind"),
        ({"gates": [{"name": "g", "kind": "threshold", "metric": "m", "min": 1}] * 2}, "duplicate-name"),
        ({"gates": []}, "no-gates"),
        ({"edits": [{"file": "a", "path": "a", "value": "{{env.SECRET}}"}]}, "bad-template"),
        (
            {"edits": [{"file": "a", "path": "a", "value": 1}, {"file": "a", "path": '["a"]', "value": 2}]},
            "duplicate-edit",
        ),
        ({"commit": {"message": "{{nope}}"}}, "bad-template"),
    ],
)
def test_what_is_not_built_is_refused_by_name(spec: dict[str, Any], code: str) -> None:
    problems = list(check(PromotionDocument.model_validate(manifest(**spec))))

    assert [problem.code for problem in problems] == [code]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ".git/config", "a\nHEAD:secret"])
def test_a_record_that_names_other_paths_is_refused(path: str) -> None:
    edit = {"file": path, "path": "a", "old": 1, "new": 2, "oldText": "1", "newText": "2"}
    body = {"schema": records.SCHEMA, "promotion": {}, "live": None, "wayBack": [{"live": None, "edits": [edit]}]}

    with pytest.raises(Refused, match="no promotion record"):
        records.read(records.orjson.dumps(body), "r.json")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("! [rejected] x -> main (stale info)", Race),
        ("! [rejected] x -> main (fetch first)", Race),
        ("! [remote rejected] x -> main (cannot lock ref 'refs/heads/main': is at 1 but expected 2)", Race),
        ("! [remote rejected] x -> main (incorrect old value provided)", Race),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", Transient),
        ("error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502", Transient),
        ("fatal: the remote end hung up unexpectedly", Transient),
        ("remote: error: GH006: Protected branch update failed\n! [remote rejected] x -> main (declined)", Rejected),
        ("! [remote rejected] x -> main (pre-receive hook declined)", Rejected),
        ("fatal: unable to access 'https://h/': The requested URL returned error: 403", Rejected),
        ("fatal: transport 'ext' not allowed", Rejected),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", AuthFailed),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", AuthFailed),
        ("fatal: bad object", GitFailed),
    ],
)
def test_git_s_words_say_what_to_do_next(words: str, kind: type[Exception]) -> None:
    assert type(classify(words)) is kind


def test_git_s_words_hold_no_secret() -> None:
    assert "hunter2" not in str(classify("fatal: unable to access 'https://bob:hunter2@h/x': boom"))
