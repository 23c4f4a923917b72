"""What lint says of calendar, sftp, resource, prometheus, httpPoll and recursive file sources, and their pure parts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from eventsources import EventSourceDocument
from eventsources.spec import check
from eventsources.watching.disks import mounted
from eventsources.watching.resource import Meant, Resource, ResourceFilter, Selector, label_selector
from eventsources.watching.sftp_client import host_key_of, public_key_beside
from retrain.errors import ConfigError

OURS, ARGO = "retrain.dev/v1", "argoproj.io/v1alpha1"
SECRET = {"name": "s", "key": "k"}
LOGIN = {"address": SECRET, "username": SECRET, "password": SECRET}
PODS = {"version": "v1", "resource": "pods"}
ADDED = {**PODS, "eventTypes": ["ADD"]}
WATCH = {"directory": "/in", "path": "x.csv"}


def problems(kind: str, spec: dict[str, Any], version: str = OURS) -> list[str]:
    document = EventSourceDocument.model_validate(
        {"apiVersion": version, "kind": "EventSource", "metadata": {"name": "es"}, "spec": {kind: {"thing": spec}}}
    )
    return [".".join(map(str, one.path[3:])) or one.code for one in check(document)]


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("calendar", {}, ["missing-field"]),
        ("calendar", {"schedule": "0 0 31 2"}, ["schedule"]),
        ("calendar", {"interval": "500ms"}, ["interval"]),
        ("calendar", {"interval": "1h", "timezone": "Mars/Base"}, ["timezone"]),
        ("calendar", {"interval": "1h", "exclusionDates": ["tomorrow"]}, ["exclusionDates"]),
        ("calendar", {"interval": "1h", "catchUp": {"limit": 0}}, ["catchUp.limit"]),
        (
            "calendar",
            {"interval": "1h", "persistence": {"catchup": {"maxDuration": "x"}}},
            ["persistence.catchup.maxDuration"],
        ),
        ("sftp", {"watchPathConfig": WATCH}, ["username", "address", "missing-field"]),
        ("sftp", {**LOGIN, "watchPathConfig": WATCH, "eventType": "WRITE"}, ["eventType"]),
        ("sftp", {**LOGIN, "sshKeySecret": SECRET, "watchPathConfig": WATCH}, ["missing-field"]),
        ("sftp", {**LOGIN, "watchPathConfig": WATCH, "pollIntervalDuration": "1ms"}, ["pollIntervalDuration"]),
        ("resource", {}, ["missing-field", "missing-field"]),
        ("resource", {**PODS, "eventTypes": ["CHANGE"]}, ["eventTypes.0"]),
        ("resource", {**PODS, "filter": {"labels": [{"key": "a", "operation": "~"}]}}, ["filter.labels.0.operation"]),
        ("resource", {**PODS, "filter": {"fields": [{"key": "a", "value": "("}]}}, ["filter.fields.0.value"]),
        ("resource", {**PODS, "filter": {"createdBy": "noon"}}, ["filter.createdBy"]),
        ("prometheus", {"url": "http://p"}, ["missing-field"]),
        ("prometheus", {"url": "http://u:p@p", "query": "x", "for": "soon"}, ["url", "for"]),
        ("prometheus", {"url": "http://p", "query": "x", "states": ["new"]}, ["states.0"]),
        ("httpPoll", {"url": "file:///etc/passwd"}, ["url"]),
        ("httpPoll", {"url": "http://h/x", "every": "1ms"}, ["every"]),
        ("httpPoll", {"url": "http://h/x", "headers": {"Authorization": "Bearer x"}}, ["headers.Authorization"]),
        ("httpPoll", {"url": "http://h/x", "headers": {"X-A": "a\nb"}}, ["headers.X-A"]),
        ("httpPoll", {"url": "http://h/x", "body": False, "each": {}}, ["body"]),
        (
            "httpPoll",
            {"url": "http://h/x", "auth": {"username": SECRET, "password": SECRET}, "token": SECRET},
            ["token"],
        ),
        ("file", {"watchPathConfig": {"directory": "/in", "path": "a/b.csv"}}, ["watchPathConfig.path"]),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(kind: str, spec: dict[str, Any], expected: list[str]) -> None:
    assert problems(kind, spec) == expected


@pytest.mark.parametrize(
    ("kind", "spec", "fields"),
    [
        ("calendar", {"interval": "1h", "catchUp": {}}, ["catchUp"]),
        (
            "sftp",
            {**LOGIN, "watchPathConfig": WATCH, "eventType": "CREATE", "hostKey": SECRET, "recursive": True},
            ["hostKey", "recursive"],
        ),
        ("resource", {**ADDED, "kubeconfig": SECRET}, ["kubeconfig"]),
        ("resource", {**ADDED, "filter": {"expression": "true"}}, ["filter.expression"]),
        ("file", {"watchPathConfig": WATCH, "eventType": "CREATE", "recursive": True}, ["recursive"]),
    ],
)
def test_what_only_ours_has_is_refused_in_argos(kind: str, spec: dict[str, Any], fields: list[str]) -> None:
    assert problems(kind, spec, ARGO) == fields
    assert problems(kind, spec) == []


def test_labels_are_asked_of_the_server() -> None:
    labels = (
        Selector(key="a", value="1"),
        Selector(key="b", operation="!=", value="2"),
        Selector(key="c", operation="in", value="x,y"),
        Selector(key="d", operation="exists"),
        Selector(key="e", operation="!"),
        Selector(key="f", operation="gt", value="3"),
    )

    assert label_selector(labels) == "a=1,b!=2,c in (x,y),d,!e,f>3"


def meant(body: dict[str, Any], *, ours: bool = True, **filter: Any) -> bool:
    made = Meant(ResourceFilter.model_validate(filter), ours=ours)
    return made.metadata(body["metadata"]) and made.fields(body)


POD = {
    "metadata": {"name": "train-1", "creationTimestamp": "2026-11-20T12:00:00Z"},
    "spec": {"node": "big-7", "replicas": 3},
}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"prefix": "train-"}, True),
        ({"prefix": "serve-"}, False),
        ({"createdBy": "2026-11-20T12:00:00Z"}, True),
        ({"createdBy": "2026-11-20T11:59:59Z"}, False),
        ({"fields": [{"key": "spec.node", "value": "big"}]}, True),
        ({"fields": [{"key": "spec.node", "operation": "!=", "value": "^small"}]}, True),
        ({"fields": [{"key": "spec.node", "operation": "==", "value": "^ig"}]}, False),
        ({"fields": [{"key": "spec.none", "operation": "!=", "value": "x"}]}, False),
        ({"fields": [{"key": "spec.replicas", "value": "^3$"}]}, True),
    ],
)
def test_objects_are_chosen_by_name_time_and_fields(filter: dict[str, Any], expected: bool) -> None:
    assert meant(POD, **filter) is expected


def test_a_field_that_is_no_text_is_empty_to_argo() -> None:
    assert not meant(POD, ours=False, fields=[{"key": "spec.replicas", "value": "^3$"}])
    assert meant(POD, ours=False, fields=[{"key": "spec.replicas", "value": "^$"}])


def test_fields_keep_their_written_name() -> None:
    spec = Resource.model_validate({"filter": {"fields": [{"key": "a"}]}})

    assert orjson.loads(spec.model_dump_json(by_alias=True, exclude_unset=True)) == {
        "filter": {"fields": [{"key": "a"}]}
    }


def test_a_host_key_is_read_in_the_forms_that_it_comes_in() -> None:
    assert host_key_of("ssh-ed25519 AAAAC3Nz root@host") == "ssh-ed25519 AAAAC3Nz"
    assert host_key_of("# old\n[host]:2222 ssh-rsa AAAAB3Nz\n") == "ssh-rsa AAAAB3Nz"
    with pytest.raises(ConfigError, match="no public key"):
        host_key_of("secret")


def test_a_public_key_beside_the_private_one_is_the_servers_as_in_argo() -> None:
    private = "-----BEGIN OPENSSH PRIVATE KEY-----\nssh-rsa AAAA\n-----END OPENSSH PRIVATE KEY-----\n"

    assert public_key_beside(private) == ""
    assert public_key_beside(f"{private}ssh-ed25519 AAAAC3Nz\n") == "ssh-ed25519 AAAAC3Nz"


def test_the_file_system_of_a_disk_is_found_among_the_mounts() -> None:
    mounts = "36 35 0:98 / /mnt/lake rw,noatime master:1 - nfs4 nas:/lake rw\n37 35 8:1 / / rw - ext4 /dev/sda1 rw\n"

    assert [mounted(mounts, one) for one in ("0:98", "8:1", "1:1")] == ["nfs4", "ext4", ""]
