"""Files and directories become documents; what is not a manifest breaks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.manifests import Mark, load_file, load_paths, load_text, read_paths

SENSOR = "apiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata: {name: %s}\n"


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def said(found) -> list[str]:
    return [f"{f.line}:{f.column} {f.code} {f.message}" for f in found]


def test_a_document_knows_what_it_is_and_where_everything_stands():
    text = "# a sensor\napiVersion: argoproj.io/v1alpha1\nkind: Sensor\nmetadata:\n  name: drift\n  namespace: ml\n" + (
        "spec:\n  triggers:\n  - template:\n      name: 'x'\n      http: {url: y}\n"
    )

    (document,), findings = load_text(text, "s.yaml")

    assert findings == []
    assert (document.api_version, document.kind, document.name) == ("argoproj.io/v1alpha1", "Sensor", "drift")
    assert (document.namespace, document.file, document.line) == ("ml", "s.yaml", 2)
    assert document.at(("metadata", "name")) == Mark("s.yaml", 5, 9)
    assert document.at(("spec", "triggers", 0, "template", "http", "url")) == Mark("s.yaml", 11, 19)
    assert document.at(("spec", "triggers", 0, "template", "http")) == Mark("s.yaml", 11, 7)
    assert document.at(("spec", "triggers", 0)) == Mark("s.yaml", 9, 5)
    assert document.at(("spec", "triggers", 7, "template")) == Mark("s.yaml", 8, 3)
    assert document.at(("spec", "dependencies", 0)) == Mark("s.yaml", 7, 1)
    assert str(document.at(())) == "s.yaml:2:1"


def test_a_list_gives_its_items_with_their_places():
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n- nonsense\n"
    )

    documents, findings = load_text(text, "l.yaml")

    assert [(d.kind, d.name, d.line) for d in documents] == [("ConfigMap", "a", 4)]
    assert said(findings) == [
        "7:3 not-a-manifest a manifest is a mapping with apiVersion and kind, not the text 'nonsense'"
    ]
    assert load_text("apiVersion: v1\nkind: List\nitems: []\n", "l.yaml") == ([], [])
    assert said(load_text("apiVersion: v1\nkind: List\nitems: 3\n", "l.yaml")[1]) == [
        "3:8 not-a-manifest items must be a list of manifests, not the number 3"
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1", "1:1 not-a-manifest apiVersion and kind missing; every manifest begins with apiVersion and kind"),
        ("kind: Sensor", "1:1 not-a-manifest apiVersion missing; every manifest begins with apiVersion and kind"),
        ("apiVersion: v1", "1:1 not-a-manifest kind missing; every manifest begins with apiVersion and kind"),
        ("apiVersion: 1.5\nkind: x", "1:13 not-a-manifest apiVersion must be text, not the number 1.5"),
        ("apiVersion: v1\nkind: {a: b}", "2:1 not-a-manifest kind must be text, not a mapping"),
        ("- a", "1:1 not-a-manifest a manifest is a mapping with apiVersion and kind, not a list"),
    ],
)
def test_a_document_that_is_no_manifest_is_said(text, complaint):
    documents, findings = load_text(text, "x.yaml")

    assert documents == []
    assert said(findings) == [complaint]


def test_a_named_file_that_cannot_be_read_is_a_finding(tmp_path):
    missing, folder = tmp_path / "missing.yaml", tmp_path / "big.yaml"
    folder.write_bytes(b"#" * (10 * 1024 * 1024 + 1))

    assert said(load_file(missing)[1]) == [f"1:1 no-such-path there is no file or directory {str(missing)!r}"]
    assert said(load_file(tmp_path)[1]) == ["1:1 unreadable cannot be read: Is a directory"]
    assert said(load_file(folder)[1]) == ["1:1 too-large larger than 10 MB"]
    assert said(load_file("a\0b")[1]) == ["1:1 unreadable cannot be read: embedded null byte"]


def test_bad_utf8_in_a_named_file_is_a_finding_with_its_place(tmp_path):
    write(tmp_path, {"x.yaml": b"apiVersion: v1\nkind: \xff\n"})

    assert said(load_file(tmp_path / "x.yaml")[1]) == [
        "2:7 bad-encoding byte 0xff is not UTF-8; save the file as UTF-8"
    ]


def test_a_directory_is_read_in_order_without_what_is_not_ours(tmp_path):
    write(
        tmp_path,
        {
            "b.yml": SENSOR % "b",
            "a/z.yaml": SENSOR % "z",
            "c.json": '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}',
            "values.yaml": "image: {{ .Values.x }}\n",
            "nested.yaml": "thing: {apiVersion: v1}\n",
            "kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
            "deploy.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
            "app.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n",
            "package.json": "{// no JSON\n}",
            "readme.txt": SENSOR % "txt",
            ".hidden.yaml": SENSOR % "hidden",
            ".git/x.yaml": SENSOR % "git",
            "chart/Chart.yaml": "apiVersion: v2\nname: x\n",
            "chart/templates/x.yaml": "apiVersion: {{ .x }}\nkind: Sensor\n",
            "empty.yaml": "",
        },
    )

    loaded = read_paths([tmp_path])

    assert [d.name for d in loaded.documents] == ["b", "c", "z"]
    assert loaded.findings == ()
    assert [Path(f).name for f in loaded.files] == ["b.yml", "c.json", "z.yaml"]
    assert {Path(f).name for f in loaded.skipped} == {
        *("values.yaml", "nested.yaml", "kustomization.yaml", "deploy.yaml", "app.yaml", "package.json", "empty.yaml")
    }


def test_a_directory_keeps_what_looks_like_ours_but_is_wrong(tmp_path):
    write(
        tmp_path,
        {
            "broken.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: 'Sensor\n",
            "group.yaml": "apiVersion: argoprj.io/v1alpha1\nkind: Sensor\n",
            "bare.yaml": "apiVersion: v1alpha1\nkind: Workflow\n",
            "mixed.yaml": (SENSOR % "m") + "---\nkind: Sensor\n",
        },
    )

    documents, findings = load_paths([tmp_path])

    assert [Path(d.file).name for d in documents] == ["bare.yaml", "group.yaml", "mixed.yaml"]
    assert [(Path(f.file).name, f.code) for f in findings] == [
        ("broken.yaml", "bad-yaml"),
        ("mixed.yaml", "not-a-manifest"),
    ]


def test_a_file_named_twice_is_read_once(tmp_path):
    write(tmp_path, {"a.yaml": SENSOR % "a"})

    documents, _ = load_paths([tmp_path / "a.yaml", tmp_path, str(tmp_path / "." / "a.yaml")])

    assert len(documents) == 1


def test_links_into_hidden_folders_are_followed_once(tmp_path):
    """A ConfigMap that Kubernetes mounts is a link into `..data`."""
    write(tmp_path, {"..2026/a.yaml": SENSOR % "a"})
    (tmp_path / "a.yaml").symlink_to(tmp_path / "..2026" / "a.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)

    assert [d.name for d in load_paths([tmp_path])[0]] == ["a"]


@given(st.text(max_size=80))
def test_no_text_raises(text):
    documents, findings = load_text("apiVersion: v1\nkind: List\n" + text, "x.yaml")

    assert isinstance(documents, list)
    assert all(f.line >= 1 and f.column >= 1 for f in findings)
