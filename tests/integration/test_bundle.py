"""A support bundle helps, and gives nothing away: twenty secrets are planted in every place that is known."""

from __future__ import annotations

import base64
import json
import tarfile
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import Connection

from retrain.cli import cli
from retrain.events import Event
from retrain.store import deadletters, decisions, events, firings, open_store, promotions, runs
from retrain.store.deadletters import DeadLetter
from retrain.store.decisions import DecisionRow
from retrain.store.firings import FiringRow, FiringState
from retrain.store.promotions import PromotionRow
from retrain.store.runs import RunRow
from tests.integration.test_retention_store import NOW

KNOWN = (
    *("settingstoken", "buspassword", "usertoken", "urlpassword", "secretdata", "secretstring", "secretenv"),
    *("folderfile", "webhook", "gitpassword", "header", "envvalue", "argument", "bustoken"),
)
QUOTED = ("payload", "reason", "error", "stepmessage", "letter", "candidate")
"""Those that nothing knows: they stand in what came from outside."""
SECRETS = {name: f"{name}-8h3kq-{number:02}-zW/+x=7" for number, name in enumerate((*KNOWN, *QUOTED))}
S = SECRETS
PROJECT = f"""\
# {S["gitpassword"]} in a comment
apiVersion: v1
kind: Secret
metadata: {{name: db}}
data: {{password: {base64.b64encode(S["secretdata"].encode()).decode()}}}
stringData: {{other: "{S["secretstring"]}"}}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: shop}}
spec:
  webhook: {{orders: {{endpoint: /orders, method: POST, port: "12000"}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: train}}
spec:
  entrypoint: main
  templates:
    - name: main
      container:
        image: busybox
        command: [train, "--password={S["argument"]}", "https://ada:{quote(S["gitpassword"], safe="")}@forge/x.git"]
        env: [{{name: DB_PASSWORD, value: "{S["envvalue"]}"}}]
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: train}}
spec:
  dependencies: [{{name: order, eventSourceName: shop, eventName: orders}}]
  triggers:
    - template:
        name: post
        http:
          url: http://127.0.0.1:1/x
          method: POST
          headers: {{X-Api-Key: "{S["header"]}"}}
"""


def _fill(connection: Connection) -> None:
    event = Event(id="1", source="shop", type="t", subject="orders", data={"card": S["payload"]})
    events.add(connection, [events.SeenEvent(event, 1, NOW)])
    said = f"body.card is {S['reason']}, not 4"
    decisions.add(connection, [DecisionRow(event.key, "train", "order", "filtered", said, {"v": S["reason"]}, NOW)])
    action = {"kind": "http", "headers": {"Authorization": f"Bearer {S['webhook']}"}, "body": S["payload"]}
    firing = FiringRow("f-1", "train", "post", S["payload"], (event.key,), action, NOW, state=FiringState.DEAD)
    firings.add(connection, [firing])
    letter = DeadLetter("d-1-1", "firing", "train/post", f"500: {S['error']}", S["letter"].encode(), NOW)
    deadletters.add(connection, [letter])
    row = RunRow("r-1", "r-1", "train", {"x": S["payload"]}, {}, NOW, phase="Failed", message=S["stepmessage"])
    runs.submit(connection, [row])
    row = PromotionRow("p-1", "p-1", "m", "prod", {"uri": S["candidate"]}, NOW, NOW, NOW, reason=S["reason"])
    promotions.propose(connection, row)


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, a data directory and an environment with a secret in every corner."""
    (tmp_path / "all.yaml").write_text(PROJECT)
    settings = {
        "server": {"token": S["settingstoken"]},
        "bus": {
            "url": f"nats://ada:{quote(S['urlpassword'], safe='')}@bus:4222",
            "user": "u",
            "password": S["buspassword"],
        },
        "access": {"users": {"ada": {"token": S["usertoken"], "roles": ["admin"]}}},
        "secrets": {"folder": str(tmp_path / "mounted")},
    }
    (tmp_path / "retrain.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "mounted" / "secrets" / "lake").mkdir(parents=True)
    (tmp_path / "mounted" / "secrets" / "lake" / "key").write_text(S["folderfile"] + "\n")
    data = tmp_path / ".retrain"
    (data / "bus").mkdir(parents=True)
    (data / "bus" / "nats.conf").write_text(f'authorization {{ token: "{S["bustoken"]}" }}\n')
    lines = [
        f"[INF] auth {S['bustoken']}",
        f"[ERR] {S['folderfile']} and {base64.b64encode(S['secretenv'].encode()).decode()}",
    ]
    (data / "bus" / "nats.log").write_text("\n".join(lines))
    monkeypatch.setenv("RETRAIN_SECRET_HOOK_TOKEN", S["secretenv"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", S["webhook"])
    async with open_store(data / "store.db") as store:
        await store.write(_fill)
    return tmp_path


def _bundle(place: Path, *words: str) -> dict[str, str]:
    file = place / "bundle.tar.gz"
    done = CliRunner().invoke(cli, ["support", "bundle", "--data", str(place / ".retrain"), "--to", str(file), *words])
    assert done.exit_code == 0, done.output + str(done.exception)
    assert file.stat().st_mode & 0o077 == 0
    with tarfile.open(file) as tar:
        members = {one.name.removeprefix("retrain-support/"): tar.extractfile(one) for one in tar}
        found = {name: file.read().decode() for name, file in members.items() if file is not None}
    file.unlink()
    return found


def _forms(value: str) -> set[str]:
    coded = base64.b64encode(value.encode()).decode().rstrip("=")
    return {value, coded, quote(value, safe=""), json.dumps(value)[1:-1]}


async def test_none_of_twenty_planted_secrets_is_in_it(place: Path) -> None:
    files = _bundle(place)

    assert len(SECRETS) == 20
    everything = "\n".join([*files, *files.values()])
    assert {name for name, value in SECRETS.items() for form in _forms(value) if form in everything} == set()


async def test_with_payloads_comes_what_payloads_say_and_still_no_known_secret(place: Path) -> None:
    everything = "\n".join(_bundle(place, "--with-payloads").values())

    assert S["payload"] in everything
    assert {name for name in KNOWN for form in _forms(S[name]) if form in everything} == set()


async def test_it_says_what_helps(place: Path) -> None:
    files = _bundle(place)

    names = ("about.json", "settings.json", "schema.sql", "doctor.json", "sizes.json", "logs/nats.log")
    assert set(names) <= set(files)
    kinds = ("decisions", "deadletters", "firings", "runs", "promotions", "events")
    assert {kind: len(json.loads(files[f"{kind}.json"])) for kind in kinds} == dict.fromkeys(kinds, 1)
    (manifest,) = (text for name, text in files.items() if name.startswith("manifests/"))
    documents = list(yaml.safe_load_all(manifest))
    assert {one["kind"] for one in documents} == {"EventSource", "Sensor", "WorkflowTemplate", "Secret"}
    secret = next(one for one in documents if one["kind"] == "Secret")
    assert (secret["data"], secret["stringData"]) == ({"password": "***"}, {"other": "***"})
    assert json.loads(files["settings.json"])["all"]["access"]["users"] == {"ada": {"roles": ["admin"]}}


async def test_it_is_not_written_over_anything(place: Path) -> None:
    there = place / "there.tar.gz"
    there.write_bytes(b"mine")
    done = CliRunner().invoke(cli, ["support", "bundle", "--data", str(place / ".retrain"), "--to", str(there)])

    assert done.exit_code != 0
    assert there.read_bytes() == b"mine"
