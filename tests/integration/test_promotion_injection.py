"""The table of hostile texts over real git, and repositories whose own content is hostile: 0 through.

What must hold after each: no file of the machine was touched, no word from outside was on a command line, the commit
changes the declared file and the record and nothing else.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import candidate as candidates
from deploy.attempt import Place
from deploy.derive import Intent
from deploy.git import Git
from deploy.git import objects as git_objects
from retrain.errors import ConfigError, Permanent, Refused
from tests.integration.git_world import CREATED, PATH, intent, promote
from tests.integration.promotion_world import MODEL, Remote, candidate, document, git

pytestmark = pytest.mark.integration

TEXTS = {
    one["name"]: one["text"]
    for one in yaml.safe_load((Path(__file__).parents[1] / "data/injection/texts.yaml").read_text())
}
MANIFEST = "overlays/staging/model.yaml"
RECORD = ".retrain/digits/staging.json"
TOLD = ("touch", "ceo", "evil", "passwd", "hunter2", "admin")
"""Words of the texts that stand in no command of ours."""


class Watched(Git):
    """Git that remembers its command lines and what it was given around them."""

    said: list[str]

    def _start(self, command: list[str], env: dict[str, str], **more: Any) -> Any:
        self.said += [*command, *env.values()]
        return super()._start(command, env, **more)


@pytest.fixture
def at(tmp_path: Path) -> Place:
    """A place whose git is watched, with a trap: what ran a word from outside would leave a file here."""
    runner = Watched(tmp_path / "data" / "home", PATH)
    runner.said = []
    return Place(runner, tmp_path / "data", tmp_path)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.create(tmp_path / "deploy.git")


def said(at: Place) -> list[str]:
    assert isinstance(at.git, Watched)
    return at.git.said


def only_declared(remote: Remote, base: str, files: set[str]) -> None:
    """The commit on top of `base` changes these files; nothing lies on the machine that git was told to touch."""
    names = git(remote.path, "-c", "core.quotePath=false", "diff-tree", "-r", "-z", "--name-only", base, "main")
    assert {name for name in names.split("\0") if name} == files
    assert git(remote.path, "rev-parse", "main~") == base


@pytest.mark.slow
def test_no_text_of_a_candidate_is_more_than_a_text_in_the_commit(at: Place, remote: Remote, tmp_path: Path) -> None:
    commit = {"message": "promote {{candidate.version}}\n\n{{candidate.run}}\n{{candidate.parameters.x}}"}
    edits = [{"file": MANIFEST, "path": "spec.predictor.model.storageUri", "value": "{{candidate.parameters.x}}"}]
    doc = document(remote.path, commit=commit, edits=edits, gates=[{**document("x").spec.gates[0].model_dump()}])
    before = sorted(path for path in tmp_path.rglob("*") if "data" not in path.parts and "deploy.git" not in str(path))
    through = 0
    for number, (name, text) in enumerate(TEXTS.items()):
        source = {"commit": "a" * 40, **dict.fromkeys(("repoUrl", "author", "subject", "body", "date"), text)}
        body = candidate(f"m{number}", version=text, run=text, events=[text], source=source, parameters={"x": text})
        try:
            model = candidates.read({**body, "digest": f"sha256:{number:064x}"})
            base = remote.tip()
            promote(at, doc, Intent(f"p-{number}", "1" * 64, "promote", model.digest, CREATED, model))
        except (ConfigError, Permanent, Refused):
            continue
        through += 1
        only_declared(remote, base, {MANIFEST, RECORD})
        found = yaml.safe_load(remote.show(MANIFEST))["spec"]["predictor"]["model"]["storageUri"]
        assert found == text, name
        keys = git(remote.path, "log", "-1", "--format=%(trailers:only,keyonly)%x00%an <%ae>%x00%P").split("\0")
        assert not {
            key
            for key in keys[0].split()
            if not key.startswith(("Retrain-", "Model-", "Gate-", "Previous-", "Argocd-"))
        }
        assert keys[1:] == ["Retrain <retrain@localhost>", base]
        assert not [word for word in said(at) if any(told in word for told in TOLD)], f"{name} was on a command line"
        said(at).clear()
    after = sorted(path for path in tmp_path.rglob("*") if "data" not in path.parts and "deploy.git" not in str(path))
    assert through > 60
    assert after == before
    git(remote.path, "fsck", "--strict", "--no-dangling")


# --- what the repository itself holds --------------------------------------------------------------------------------


def link(name: str, to: str) -> Callable[[Path], None]:
    def make(clone: Path) -> None:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).symlink_to(to)

    return make


def text(name: str, body: str | bytes) -> Callable[[Path], None]:
    def make(clone: Path) -> None:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_bytes(body.encode() if isinstance(body, str) else body)

    return make


def moved(name: str, to: str) -> Callable[[Path], None]:
    """The folder is elsewhere, and a link leads there."""

    def make(clone: Path) -> None:
        (clone / to).parent.mkdir(parents=True, exist_ok=True)
        if (clone / name).exists():
            (clone / name).rename(clone / to)
        else:
            (clone / to).mkdir()
        (clone / name).symlink_to(to)

    return make


def record(**more: Any) -> str:
    edit = {"file": MANIFEST, "path": "a", "old": "1", "new": "2", "oldText": "1", "newText": "2"}
    live = {"digest": f"sha256:{'b' * 64}", "uri": "s3://x", "promotion": "p-9"}
    body = {"schema": "retrain.dev/promotion-record/v1", "promotion": {}, "live": live, "edits": []}
    return json.dumps({**body, "wayBack": [{"live": None, "edits": [{**edit, **more}]}]})


LONG = "x" * 5000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "the file is a link": (link(MANIFEST, "../../README.md"), "a symbolic link"),
    "the file is a link out": (link(MANIFEST, "/etc/passwd"), "a symbolic link"),
    "the file is a link to git's own": (link(MANIFEST, "../../.git/config"), "a symbolic link"),
    "the folder is a link": (moved("overlays/staging", "elsewhere"), "is a symbolic link, not a folder"),
    "the folder above is a link": (moved("overlays", "elsewhere"), "is a symbolic link, not a folder"),
    "the record is a link": (link(RECORD, "../../README.md"), "a symbolic link"),
    "the record is a link out": (link(RECORD, "/etc/passwd"), "a symbolic link"),
    "the record's folder is a link": (link(".retrain/digits", "../overlays"), "is a symbolic link, not a folder"),
    "the records are a link": (link(".retrain", "overlays"), "is a symbolic link, not a folder"),
    "the record is a folder": (text(f"{RECORD}/x", "x"), "a folder"),
    "the records are a file": (text(".retrain", "x"), "is a file, not a folder"),
    "the record climbs": (text(RECORD, record(file="../x")), "no promotion record"),
    "the record is absolute": (text(RECORD, record(file="/etc/passwd")), "no promotion record"),
    "the record names git's own": (text(RECORD, record(file=".git/config")), "no promotion record"),
    "the record names a record": (text(RECORD, record(file=RECORD)), "no promotion record"),
    "the record has an odd path": (text(RECORD, record(path="a[?(@.b)]")), "no promotion record"),
    "the record is no JSON": (text(RECORD, "{"), "no promotion record"),
    "the record is deep": (text(RECORD, "[" * 100_000), "no promotion record"),
    "the record is bytes": (text(RECORD, b"\xff\xfe\0"), "no promotion record"),
    "the record is another's": (text(RECORD, '{"schema": "x", "promotion": {}, "live": null}'), "has the schema"),
    "the record is huge": (text(RECORD, b" " * (git_objects.MAX_FILE + 1)), "more than a manifest may have"),
    "the manifest is huge": (text(MANIFEST, MODEL + f"# {LONG}\n" * 1000), "larger than"),
    "the manifest holds NUL": (text(MANIFEST, MODEL + "x: a\0b\n"), MANIFEST),
    "the manifest is not UTF-8": (text(MANIFEST, MODEL.encode() + b"# \xff\n"), "is not UTF-8"),
    "the manifest is in Git LFS": (text(MANIFEST, "version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
    "the manifest is a bomb": (text(MANIFEST, BOMB), MANIFEST),
    "the manifest is deep": (text(MANIFEST, "[" * 100_000), MANIFEST),
    "the manifest runs code": (text(MANIFEST, "spec: !!python/object/apply:os.system [touch x]\n"), MANIFEST),
    "the manifest has the key twice": (
        text(MANIFEST, MODEL + "spec: {predictor: {model: {storageUri: x}}}\n"),
        MANIFEST,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_repository_that_would_lead_elsewhere_is_refused(at: Place, remote: Remote, name: str) -> None:
    make, words = REFUSED[name]
    clone = remote.path.with_name("deploy.git-clone")
    if not name.startswith("the record") and "folder" not in name:
        (clone / MANIFEST).unlink()
    make(clone)
    base = remote.human({})

    with pytest.raises(Refused) as refused:
        promote(at, document(remote.path))

    assert words in str(refused.value)
    assert len(str(refused.value)) < 1000
    assert remote.tip() == base


HARMLESS: dict[str, Callable[[Path], None]] = {
    "filters": text(
        ".gitattributes", "* filter=evil diff=evil merge=evil\n*.yaml text eol=crlf working-tree-encoding=latin-1\n"
    ),
    "submodules": text(".gitmodules", '[submodule "x"]\n\tpath = x\n\turl = ext::touch x\n\tupdate = rebase\n'),
    "a file like an option": text("--upload-pack=touch x", "x"),
    "a folder like an option": text("-c/core.sshCommand=touch x", "x"),
    "hooks": text("hooks/pre-receive", "#!/bin/sh\ntouch x\n"),
    "a config": text("config", "[core]\n\tsshCommand = touch x\n"),
    "a replaced attribute": text("overlays/.gitattributes", "model.yaml -text ident export-ignore\n"),
    "a link beside": link("overlays/staging/other.yaml", "/etc/passwd"),
    "another record": text(".retrain/other/staging.json", "{"),
    "names that break lines": text("a\nb\r/\x01x", "x"),
    "a name in another code": text("ä\u202e/ü", "x"),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_else_lies_in_a_repository_changes_nothing(at: Place, remote: Remote, tmp_path: Path, name: str) -> None:
    clone = remote.path.with_name("deploy.git-clone")
    HARMLESS[name](clone)
    base = remote.human({})

    promote(at, document(remote.path))

    only_declared(remote, base, {MANIFEST, RECORD})
    assert remote.show(MANIFEST) == MODEL.replace("/v0", "/a")
    assert not list(tmp_path.rglob("x y"))
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("branch", ["+main", "refs/heads/main@", "überlagerung/ä", "a/--force", "$(touch x)", "{{x}}"])
def test_a_branch_is_a_branch_whatever_it_looks_like(at: Place, remote: Remote, branch: str) -> None:
    try:
        doc = document("x", repo={"url": str(remote.path), "branch": branch})
    except ValueError:
        return
    git(remote.path, "update-ref", f"refs/heads/{branch}", remote.tip())
    base = remote.tip()

    promote(at, doc)

    assert git(remote.path, "rev-parse", f"refs/heads/{branch}~") == base
    assert remote.tip() == base
    assert git(remote.path, "tag", "--list") == ""


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RETRAIN_SECRET_TOKEN", "hunter2")
    return "hunter2"


def test_no_secret_of_the_process_reaches_git(at: Place, remote: Remote, secret: str) -> None:
    promote(at, document(remote.path), intent())

    assert not [word for word in said(at) if secret in word]
    kept = subprocess.run(["grep", "-r", secret, str(at.data)], capture_output=True, check=False)
    assert kept.returncode == 1
