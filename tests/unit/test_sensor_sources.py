"""Where the object of a trigger comes from: the manifest, a ConfigMap, a file of the project, or elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from retrain.errors import ConfigError, NotFound, Transient
from retrain.events import Event
from sensors.actions.match import Match
from sensors.actions.parameters import RenderError
from sensors.actions.render import chosen_by_event, compile_trigger
from sensors.core.addresses import compile_address
from sensors.filtering.content import Content
from sensors.objects.git import GitAccess, GitReading
from sensors.objects.project import MAX_BYTES, ProjectSources
from sensors.objects.remote import RemoteSources
from sensors.objects.settings import RemoteSettings
from sensors.objects.sources import NotReadYet, identity, kind_of
from sensors.trigger_spec import Git, Source, Trigger

NOW = datetime(2026, 11, 20, tzinfo=UTC)
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"
OTHER = {"configmap": {"name": "maps", "key": "other.yaml"}}
EVENT = Event(id="1", source="src", type="webhook", subject="x", data={"body": {"a": "b", "choice": OTHER}})
MATCH = Match("f-1", "", {"d": [EVENT.key]}, NOW, NOW, "", lambda _name, _key: Content(EVENT))


def source(**fields: Any) -> Source:
    return Source.model_validate(fields)


def trigger(parameters: list[Any] | None = None, **fields: Any) -> Trigger:
    return Trigger.model_validate(
        {"template": {"name": "t", "k8s": {"operation": "create", "source": fields}}, "parameters": parameters or []}
    )


def name_of(action: dict[str, Any]) -> str:
    return action["resource"]["metadata"]["name"]


def config(name: str, key: str) -> str:
    if (name, key) == ("maps", "wf.yaml"):
        return OBJECT
    raise NotFound(f"no config map {name!r} has a key {key!r}")


CONFIGMAP = {"name": "maps", "key": "wf.yaml"}


def test_upstreams_order_decides_between_several() -> None:
    assert kind_of(source(resource={}, inline="x")) == "inline"
    assert kind_of(source(resource={}, s3={}, git={})) == "s3"
    assert kind_of(source()) == ""


def test_a_configmap_and_a_file_of_the_project_give_the_object(tmp_path: Path) -> None:
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/it.yaml").write_text(OBJECT.replace("NAME", "from-file"))
    sources = ProjectSources(tmp_path, config)

    assert name_of(compile_trigger(trigger(configmap=CONFIGMAP), sources)(MATCH)) == "NAME"
    assert name_of(compile_trigger(trigger(file={"path": "objects/it.yaml"}), sources)(MATCH)) == "from-file"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"configmap": {"name": "maps", "key": "no"}}, "has a key 'no'"),
        ({"file": {"path": "no.yaml"}}, "has no file 'no.yaml'"),
        ({"file": {"path": ""}}, "has no file ''"),
        ({"file": {"path": "../secret.yaml"}}, "not in the project's folder"),
        ({"file": {"path": "/etc/passwd"}}, "not in the project's folder"),
        ({"file": {"path": "link.yaml"}}, "not in the project's folder"),
        ({"file": {"path": "a\0b"}}, "has no file"),
        ({"file": {"path": "large.yaml"}}, "over 1048576 bytes"),
        ({"file": {"path": "bytes.yaml"}}, "is no text"),
        ({"file": {"path": "two.yaml"}}, "one Kubernetes object as YAML, not 2 objects"),
        ({"file": {"path": "broken.yaml"}}, "one Kubernetes object as YAML"),
        ({"git": {"url": "https://example.org/x.git"}}, "source.git is off"),
        ({"url": {"path": "https://example.org/x"}}, "source.url is off"),
        ({"s3": {"endpoint": "example.org"}}, "source.s3 is off"),
        ({}, "the source is empty"),
    ],
)
def test_what_cannot_be_had_is_refused_when_the_sensor_is_compiled(
    written: dict[str, Any], words: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "secret.yaml").write_text(OBJECT)
    (project / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (project / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    (project / "bytes.yaml").write_bytes(b"\xff\xfe")
    (project / "two.yaml").write_text(f"{OBJECT}---\n{OBJECT}")
    (project / "broken.yaml").write_text("a: [")

    with pytest.raises(ConfigError, match=words):
        compile_trigger(trigger(**written), ProjectSources(project, config))


def test_without_a_platform_a_sensor_is_still_compiled() -> None:
    render = compile_trigger(trigger(configmap=CONFIGMAP))

    with pytest.raises(RenderError, match="by a running platform only"):
        render(MATCH)


def test_variables_in_a_fetched_workflow_are_filled(tmp_path: Path) -> None:
    text = 'kind: Workflow\napiVersion: a/v1\nspec: {arguments: {parameters: [{value: "{{inputs.parameters.d-a}}"}]}}\n'
    (tmp_path / "it.yaml").write_text(text)

    for more in ([], [{"src": {"dependencyName": "d", "value": "u"}, "dest": "name"}]):
        action = compile_trigger(trigger(more, file={"path": "it.yaml"}), ProjectSources(tmp_path, config))(MATCH)
        assert action["resource"]["spec"]["arguments"]["parameters"][0]["value"] == "b"


# --- an event does not choose ---


def test_an_event_cannot_choose_where_the_object_comes_from() -> None:
    written = trigger(
        [{"src": {"dependencyName": "d", "dataKey": "body.a"}, "dest": "k8s.source.configmap.key"}], configmap=CONFIGMAP
    )

    assert chosen_by_event(written) == "k8s.source.configmap.key"
    with pytest.raises(ConfigError, match="an event cannot choose"):
        compile_trigger(written, ProjectSources(Path(), config))


def test_nor_by_a_path_that_does_not_look_like_it() -> None:
    for dest, key in (("k8s.source.c*.key", "body.a"), ("k8s.source", "body.choice")):
        src = {"dependencyName": "d", "dataKey": key, "useRawData": True}
        render = compile_trigger(
            trigger([{"src": src, "dest": dest}], configmap=CONFIGMAP), ProjectSources(Path(), config)
        )
        with pytest.raises(RenderError, match="an event cannot choose"):
            render(MATCH)


# --- elsewhere ---

URL = source(url={"path": "https://example.org/wf.yaml"})


class Elsewhere:
    """Answers with what it is told to."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)

    async def __call__(self, _source: Source) -> str:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_text_from_elsewhere_is_there_once_it_was_read(tmp_path: Path) -> None:
    remote = RemoteSources(tmp_path, Elsewhere(OBJECT, OBJECT.replace("NAME", "new")))
    render = compile_trigger(
        trigger(url={"path": "https://example.org/wf.yaml"}), ProjectSources(tmp_path, config, remote)
    )

    with pytest.raises(RenderError, match="was not read yet"):
        render(MATCH)
    await remote.refresh()
    assert name_of(render(MATCH)) == "NAME"
    await remote.refresh()
    assert name_of(render(MATCH)) == "new"


async def test_a_failure_keeps_the_last_text_and_says_so(tmp_path: Path) -> None:
    new = OBJECT.replace("NAME", "new")
    remote = RemoteSources(tmp_path, Elsewhere(OBJECT, Transient("away"), "a: [", new))
    with pytest.raises(NotReadYet):
        remote.fetch(URL)

    await remote.refresh()
    assert (remote.fetch(URL), remote.waiting_for) == (OBJECT, None)
    await remote.refresh()
    assert (remote.fetch(URL), remote.waiting_for) == (OBJECT, "source.url cannot be read: away")
    await remote.refresh()
    assert remote.fetch(URL) == OBJECT
    assert "what is there now is one Kubernetes object as YAML, not" in (remote.waiting_for or "")
    await remote.refresh()
    assert (remote.fetch(URL), remote.waiting_for) == (new, None)


async def test_a_place_that_nobody_uses_is_forgotten(tmp_path: Path) -> None:
    remote = RemoteSources(tmp_path, Elsewhere(OBJECT))
    with pytest.raises(NotReadYet):
        remote.fetch(URL)
    with pytest.raises(NotReadYet):
        remote.fetch(source(url={"path": "https://example.org/other"}))

    remote.retain([URL])
    await remote.refresh()

    assert (remote.fetch(URL), remote.waiting_for) == (OBJECT, None)


async def test_the_last_text_outlives_a_restart(tmp_path: Path) -> None:
    before = RemoteSources(tmp_path, Elsewhere(OBJECT))
    with pytest.raises(NotReadYet):
        before.fetch(URL)
    await before.refresh()

    after = RemoteSources(tmp_path, Elsewhere(Transient("away")))

    assert after.fetch(URL) == OBJECT
    await after.refresh()
    assert after.fetch(URL) == OBJECT


async def test_running_it_tries_what_is_new_before_it_is_ready(tmp_path: Path) -> None:
    remote = RemoteSources(tmp_path, Elsewhere(OBJECT))
    with pytest.raises(NotReadYet, match="was not read yet"):
        remote.fetch(URL)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            await group.start(remote.run)
            assert remote.fetch(URL) == OBJECT
            group.cancel_scope.cancel()


async def test_who_does_not_answer_is_given_up(tmp_path: Path) -> None:
    async def never(_source: Source) -> str:
        await anyio.sleep_forever()
        raise AssertionError

    remote = RemoteSources(tmp_path, never, RemoteSettings(timeout_s=0.01))
    with pytest.raises(NotReadYet):
        remote.fetch(URL)

    await remote.refresh()

    with pytest.raises(NotReadYet, match=r"did not answer within 0\.01 s"):
        remote.fetch(URL)


def test_places_differ_by_what_is_written() -> None:
    one = source(git={"url": "https://example.org/a.git", "filePath": "x"})

    assert identity(one) == identity(source(git={"filePath": "x", "url": "https://example.org/a.git"}))
    assert identity(one) != identity(source(git={"url": "https://example.org/a.git", "filePath": "y"}))


@pytest.mark.parametrize(
    "written",
    [
        {"url": "--upload-pack=touch x", "filePath": "a"},
        {"url": "ext::sh -c x", "filePath": "a"},
        {"url": "ext::sh", "filePath": "a"},
        {"url": "file:///etc", "filePath": "a"},
        {"url": "/etc", "filePath": "a"},
        {"url": "https://user:password@example.org/x", "filePath": "a"},
        {"url": "http://example.org/x", "filePath": "a"},
        {"url": "git@-oProxyCommand=x:y", "filePath": "a"},
        {"url": "", "filePath": "a"},
        {"url": "https://example.org/a b", "filePath": "a"},
    ],
)
def test_a_git_url_is_one_of_three_kinds(written: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="url"):
        GitReading(tmp_path, {}, RemoteSettings()).server_of(Git.model_validate(written))


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://example.org/a.git", ("example.org", 443)),
        ("ssh://git@example.org:2222/a.git", ("example.org", 2222)),
        ("git@example.org:group/a.git", ("example.org", 22)),
    ],
)
def test_the_server_of_a_git_url_is_known(url: str, server: tuple[str, int], tmp_path: Path) -> None:
    assert GitReading(tmp_path, {}, RemoteSettings()).server_of(Git(url=url)) == server


@pytest.mark.parametrize(
    "fields",
    [
        {"filePath": "../x"},
        {"filePath": "/x"},
        {"filePath": "a//b"},
        {"filePath": ""},
        {"filePath": "a\\b"},
        {"filePath": "a", "branch": "-x"},
        {"filePath": "a", "branch": "a..b"},
        {"filePath": "a", "tag": "a b"},
        {"filePath": "a", "ref": "refs/heads/x:y"},
        {"filePath": "a", "ref": "a.lock"},
    ],
)
def test_names_in_a_repository_lead_nowhere_else(fields: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="git"):
        GitReading(tmp_path, {}, RemoteSettings()).read(
            Git.model_validate({"url": "https://example.org/a.git", **fields}), GitAccess()
        )


# --- addresses ---


def test_names_without_wildcards_are_an_address() -> None:
    assert compile_address("src", "name[1].x") == ("src", "name[1].x")


@pytest.mark.parametrize(
    ("source_name", "name", "address", "meets"),
    [
        ("src", "*", ("src", "any.thing"), True),
        ("src", "*", ("src", ""), True),
        ("src", "*", ("other", "any"), False),
        ("s?c", "a*z", ("src", "abcz"), True),
        ("s?c", "a*z", ("srrc", "abcz"), False),
        ("src", "new-*", ("src", "NEW-1"), False),
        ("src", "a[b]*", ("src", "a[b]c"), True),
        ("src", "a[b]*", ("src", "abc"), False),
        ("src", "a*", ("src", "xa"), False),
    ],
)
def test_a_pattern_meets_whole_names(source_name: str, name: str, address: tuple[str, str], meets: bool) -> None:
    matcher = compile_address(source_name, name)

    assert callable(matcher)
    assert matcher(address) is meets
