"""Volumes of a pod as directories: what is in them, where they are seen, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.core.happenings import Task
from pipelines.core.nodes import Inputs
from pipelines.local.environment import PodFacts
from pipelines.local.mounts import Mount
from pipelines.local.volumes import Places, Volumes
from retrain.errors import ConfigError

FACTS = PodFacts("pod", "ns", "uid", labels={"team": "vision"})
REFERENCES = {
    ("ConfigMap", "conf"): {"a.txt": "A", "b.txt": "B"},
    ("Secret", "keys"): {"token": "t0k"},
    ("PersistentVolumeClaim", "data"): {},
}


class Place:
    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        self.project.mkdir()
        self.places = Places(root / "pod", root / "claims", root / "volumes", self.project)

    def volumes(self, *volumes: dict[str, Any], spec: dict[str, Any] | None = None) -> Volumes:
        task = Task("n", "n", "pod", {"volumes": list(volumes)}, Inputs({"claim": "data"}))
        return Volumes.of(task, spec or {}, self.places, FACTS, REFERENCES)

    def mount(self, volume: dict[str, Any], **mount: Any) -> Mount:
        container = {"volumeMounts": [{"name": volume["name"], "mountPath": "/m", **mount}]}
        return self.volumes(volume).mounts(container, None, {"SUB": "from-env"})[0]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("volume", "found"),
    [
        ({"configMap": {"name": "conf"}}, {"a.txt": "A", "b.txt": "B"}),
        ({"configMap": {"name": "conf", "items": [{"key": "a.txt", "path": "x/y"}]}}, {"x/y": "A"}),
        ({"secret": {"secretName": "keys"}}, {"token": "t0k"}),
        ({"configMap": {"name": "no", "optional": True}}, {}),
        (
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {"l": 'team="vision"\n'},
        ),
        (
            {"projected": {"sources": [{"configMap": {"name": "conf"}}, {"secret": {"name": "keys"}}]}},
            {"a.txt": "A", "b.txt": "B", "token": "t0k"},
        ),
    ],
)
def test_files_that_are_known_beforehand_are_there_read_only(
    place: Place, volume: dict[str, Any], found: dict[str, str]
) -> None:
    seen = place.mount({"name": "v", **volume})
    assert (seen.target, seen.readonly) == ("/m", True)
    assert files(seen.source) == found
    assert place.mount({"name": "v", **volume}) == seen


def test_a_mode_is_what_the_item_or_the_volume_says(place: Place) -> None:
    items = [{"key": "a.txt", "path": "a", "mode": 0o400}, {"key": "b.txt", "path": "b"}]
    seen = place.mount({"name": "v", "configMap": {"name": "conf", "defaultMode": 0o755, "items": items}})
    assert [(seen.source / name).stat().st_mode & 0o777 for name in "ab"] == [0o400, 0o755]


@pytest.mark.parametrize("volume", [{"emptyDir": {"medium": "Memory"}}, {"emptyDir": {}}, {"ephemeral": {}}])
def test_an_empty_volume_is_the_pods_own(place: Place, volume: dict[str, Any]) -> None:
    seen = place.mount({"name": "v", **volume})
    assert (seen.source, seen.readonly) == (place.places.pod / "v", False)
    assert seen.source.is_dir()


def test_claims_of_the_run_and_of_the_project_lie_apart(place: Place) -> None:
    spec = {"volumeClaimTemplates": [{"metadata": {"name": "work"}}]}
    volumes = place.volumes({"name": "d", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}}, spec=spec)
    mounts = volumes.mounts(
        {"volumeMounts": [{"name": "work", "mountPath": "/w"}, {"name": "d", "mountPath": "/d"}]}, None, {}
    )
    assert mounts == (
        Mount(place.places.run / "work", "/w", False),
        Mount(place.places.claims / "data", "/d", True),
    )


def test_volumes_of_a_template_lie_over_those_of_the_workflow(place: Place) -> None:
    spec = {"volumes": [{"name": "v", "configMap": {"name": "conf"}}]}
    volumes = place.volumes({"name": "v", "emptyDir": {}}, spec=spec)
    seen = volumes.mounts({"volumeMounts": [{"name": "v", "mountPath": "/m"}]}, None, {})[0]
    assert files(seen.source) == {}


def test_a_claim_of_the_workflow_may_be_named_by_an_input(place: Place) -> None:
    spec = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "{{inputs.parameters.claim}}"}}]}
    seen = place.volumes(spec=spec).mounts({"volumeMounts": [{"name": "v", "mountPath": "/m"}]}, None, {})[0]
    assert seen.source == place.places.claims / "data"


def test_a_sub_path_is_a_part_of_the_volume(place: Place) -> None:
    assert place.mount({"name": "v", "emptyDir": {}}, subPath="a/b").source == place.places.pod / "v" / "a" / "b"
    assert place.mount({"name": "v", "emptyDir": {}}, subPathExpr="$(SUB)").source.name == "from-env"
    one = place.mount({"name": "c", "configMap": {"name": "conf"}}, subPath="a.txt")
    assert one.source.read_text() == "A"


def test_mirrored_mounts_are_those_of_the_main_container(place: Place) -> None:
    main = {"volumeMounts": [{"name": "v", "mountPath": "/m"}, {"name": "v", "mountPath": "/n"}]}
    sidecar = {"mirrorVolumeMounts": True, "volumeMounts": [{"name": "v", "mountPath": "/n", "readOnly": True}]}
    mounts = place.volumes({"name": "v", "emptyDir": {}}).mounts(sidecar, main, {})
    assert [(one.target, one.readonly) for one in mounts] == [("/n", True), ("/m", False)]


def test_a_host_path_inside_the_project_is_shared(place: Place) -> None:
    (place.project / "data").mkdir()
    assert place.mount({"name": "v", "hostPath": {"path": f"{place.project}/data"}}).source == place.project / "data"
    made = place.mount({"name": "w", "hostPath": {"path": f"{place.project}/new", "type": "DirectoryOrCreate"}})
    assert made.source.is_dir()


@pytest.mark.parametrize(
    ("volume", "mount", "said"),
    [
        ({"hostPath": {"path": "/etc"}}, {}, "outside the project"),
        ({"hostPath": {"path": "PROJECT/../x"}}, {}, "outside the project"),
        ({"hostPath": {"path": "PROJECT/none"}}, {}, "is not there"),
        ({"nfs": {"server": "x"}}, {}, "nfs is not done by local steps"),
        ({"persistentVolumeClaim": {"claimName": "no"}}, {}, 'persistentvolumeclaim "no" not found'),
        ({"configMap": {"name": "no"}}, {}, 'configmap "no" not found'),
        ({"secret": {"secretName": "keys", "items": [{"key": "x", "path": "x"}]}}, {}, "has no key 'x'"),
        ({"configMap": {"name": "conf", "items": [{"key": "a.txt", "path": "../x"}]}}, {}, "leads out"),
        ({"projected": {"sources": [{"serviceAccountToken": {}}]}}, {}, "projected.serviceAccountToken"),
        ({"emptyDir": {}}, {"subPath": "../x"}, "leads out"),
        ({"emptyDir": {}}, {"subPath": "/etc"}, "leads out"),
        ({"emptyDir": {}}, {"mountPath": "relative"}, "must be an absolute path"),
        ({"emptyDir": {}}, {"mountPath": "/"}, "must be an absolute path"),
        ({"emptyDir": {}}, {"name": "other"}, 'volume "other" not found'),
    ],
)
def test_what_a_local_pod_cannot_have_is_refused_by_name(
    place: Place, volume: dict[str, Any], mount: dict[str, Any], said: str
) -> None:
    if "hostPath" in volume:
        path = volume["hostPath"]["path"].replace("PROJECT", str(place.project))
        volume = {"hostPath": {"path": path}}
    with pytest.raises(ConfigError, match=said):
        place.mount({"name": "v", **volume}, **mount)


def test_a_link_that_a_step_put_into_a_volume_leads_nowhere(place: Place) -> None:
    seen = place.mount({"name": "v", "emptyDir": {}})
    (seen.source / "out").symlink_to("/etc")
    with pytest.raises(ConfigError, match="leads out"):
        place.mount({"name": "v", "emptyDir": {}}, subPath="out")
    (place.project / "link").symlink_to("/etc")
    with pytest.raises(ConfigError, match="outside the project"):
        place.mount({"name": "h", "hostPath": {"path": f"{place.project}/link"}})
