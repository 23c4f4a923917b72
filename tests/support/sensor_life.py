"""A platform whose sensors use everything that holds state, and the questions for the end of a life with many deaths.

Events of one `round` come together: two halves of a day, three files, a beat, two steps. Real runs go through lanes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from retrain.bus import Record
from sensors import Sensor, SensorDocument
from sensors.core.course import Course
from sensors.core.outcome import Fired
from tests.e2e.crash_world import once
from tests.e2e.platform_driver import Platform, Unreachable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIMITS = {"queued": 2, "merged": 1}
"""How many runs of each sensor there may be at a time."""

STATEFUL = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: life}
spec:
  dependencies:
    - {name: features, eventSourceName: lake, eventName: features, key: day}
    - {name: labels, eventSourceName: lake, eventName: labels, key: day}
    - {name: file, eventSourceName: lake, eventName: file}
    - {name: of-kind, eventSourceName: lake, eventName: file, key: kind}
    - {name: fresh, eventSourceName: lake, eventName: file, dedupe: {key: etag, ttl: 1h}}
    - {name: loaded, eventSourceName: lake, eventName: loaded, key: day}
    - {name: checked, eventSourceName: lake, eventName: checked, key: day}
    - {name: beat, eventSourceName: lake, eventName: beat}
    - {name: silence, eventSourceName: lake, eventName: beat, absent: {for: 1500ms}}
  triggers:
    - template: {name: pair, conditions: features && labels, log: {}}
    - {template: {name: five, conditions: file, log: {}}, window: {count: 5}}
    - {template: {name: quiet, conditions: of-kind, log: {}}, window: {quiet: 700ms}}
    - {template: {name: fresh, conditions: fresh, log: {}}}
    - {template: {name: steps, log: {}}, sequence: [loaded, checked]}
    - {template: {name: silent, conditions: silence, log: {}}}
    - {template: {name: third, conditions: file, log: {}}, every: 3}
    - {template: {name: slowly, conditions: file, log: {}}, cooldown: 1s}
    - {template: {name: budgeted, conditions: beat, log: {}}, budget: {runs: 3, per: 2s}}
    - {template: {name: throttled, conditions: beat, log: {}}, rateLimit: {unit: Second, requestsPerUnit: 2}}
---
"""
RUNNING = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: NAME}
spec:
  dependencies: [{name: file, eventSourceName: lake, eventName: file}]
  triggers:
    - template:
        name: run
        argoWorkflow:
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: NAME-}
              spec: {workflowTemplateRef: {name: train}}
      concurrency: {limit: LIMIT, onConflict: CONFLICT}
---
"""
WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: all
  templates:
    - name: all
      steps: [[{name: learn, template: learn}], [{name: mark, template: mark}]]
    - name: learn
      retryStrategy: {limit: 10, retryPolicy: Always}
      container: {image: busybox, command: [/bin/sleep, "0.05"]}
    - name: mark
      container: {image: busybox, command: [/bin/mkdir, "MARKS/{{workflow.uid}}"]}
"""


@dataclass
class Life:
    """The platform, and what was sent to it."""

    platform: Platform
    marks: Path
    rounds: int = 0
    text: str = ""
    ids: set[str] = field(default_factory=set)

    @classmethod
    def make(cls, place: Path) -> Life:
        life = cls(Platform(place / "platform"), place / "marks")
        life.marks.mkdir()
        lanes = (
            RUNNING.replace("NAME", name).replace("LIMIT", str(limit)).replace("CONFLICT", how)
            for (name, limit), how in zip(LIMITS.items(), ("queue", "coalesce"), strict=True)
        )
        life.text = STATEFUL + "".join(lanes).removesuffix("---\n")
        life.platform.write("sensors.yaml", life.text)
        life.platform.write("workflow.yaml", WORKFLOW.replace("MARKS", str(life.marks)))
        return life

    def batch(self, number: int) -> list[dict[str, Any]]:
        """The events of a round. The halves of a day come in turns, the second of them two rounds later."""
        first, second = ("features", "labels") if number % 2 else ("labels", "features")
        days = {first: number, second: number - 2, "loaded": number, "checked": number - 1}
        events = [_event(name, f"{name}-{number}", day=day) for name, day in days.items()]
        events.append(_event("beat", f"beat-{number}"))
        # The last of the three is one that was there before, to whoever looks at the etag.
        etags = (f"{number}a", f"{number}b", f"{number}a")
        for place, etag in enumerate(etags):
            events.append(_event("file", f"file-{number}-{place}", etag=etag, kind="xyz"[(number + place) % 3]))
        return events

    def send(self) -> bool:
        """Send the next round; whether it was taken. If not, the same comes with the next call."""
        events = self.batch(self.rounds)
        try:
            taken = self.platform.emit(*events).taken
        except Unreachable:
            return False
        if taken:
            self.rounds += 1
            self.ids.update(one["id"] for one in events)
        return taken

    def send_until_taken(self) -> None:
        self.platform.wait(self.send, f"round {self.rounds} is taken")

    def await_settled(self) -> None:
        """Wait until no run, no act, no held match and no timer of what was sent is left."""
        ask = self.platform.rows

        def settled() -> bool:
            (sent,) = ask("SELECT count(*) FROM events WHERE source = 'lake'")[0]
            (firings,) = ask("SELECT count(*) FROM firings WHERE state != 'done'")[0]
            (runs,) = ask("SELECT count(*) FROM runs WHERE phase NOT IN ('Succeeded', 'Failed', 'Error')")[0]
            (untold,) = ask("SELECT count(*) FROM outbox")[0]
            (waiting,) = ask("SELECT count(*) FROM sensor_cells WHERE due IS NOT NULL OR kind = 'held'")[0]
            read, told = (
                ask("SELECT position FROM cursors WHERE name = 'sensors'"),
                ask("SELECT max(position) FROM events"),
            )
            return sent == len(self.ids) and not (firings or runs or untold or waiting) and read == told

        self.platform.wait(settled, "all that was sent has come to its end", 120)


def _event(name: str, id_: str, **data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": id_, "source": "lake", "type": "test", "subject": name, "data": data}


# --- the questions of the end ----------------------------------------------------------------------------------------

OF_FIRINGS = (
    'SELECT f.sensor, f."trigger", f.id, e.id FROM firings f JOIN firing_events fe ON fe.firing_id = f.id'
    " JOIN events e ON e.key = fe.event_key ORDER BY f.id, fe.ordinal"
)


def check_life(life: Life, log: Sequence[Record]) -> None:
    """Every event is where it belongs, once; the platform is down."""
    _check_windows(life)
    _check_runs(life)
    _check_replay(life, log)
    assert life.platform.rows("SELECT count(*) FROM deadletters") == [(0,)]
    errors = life.platform.rows("SELECT sensor, reason FROM decisions WHERE outcome = 'error'")
    assert errors == []


def _check_windows(life: Life) -> None:
    by_trigger: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sensor, trigger, firing, event in life.platform.rows(OF_FIRINGS):
        by_trigger[sensor, trigger][firing].append(event)
    used = {where: once(event for one in firings.values() for event in one) for where, firings in by_trigger.items()}
    files, rounds = {one for one in life.ids if one.startswith("file-")}, life.rounds
    own = {trigger: events for (sensor, trigger), events in used.items() if sensor == "life"}
    for whole in ("quiet", "slowly"):
        assert own[whole] == files, whole
    for name in LIMITS:
        assert used[name, "run"] == files, name
    assert own["budgeted"] == own["throttled"] == {f"beat-{n}" for n in range(rounds)}
    assert own["fresh"] == {f"file-{n}-{place}" for n in range(rounds) for place in (0, 1)}
    assert len(own["pair"]) == 2 * (rounds - 2)
    assert len(own["steps"]) == 2 * (rounds - 1)
    assert {len(events) for events in by_trigger["life", "five"].values()} == {5}
    assert len(own["five"]) == len(files) // 5 * 5
    assert len(own["third"]) == len(files) // 3
    silences = life.platform.rows("SELECT id FROM events WHERE subject = 'sensor.absent'")
    assert silences
    assert {(one,) for one in own["silent"]} == set(silences)


def _check_runs(life: Life) -> None:
    rows = life.platform.rows(
        "SELECT r.id, f.sensor, r.phase, r.started, r.finished FROM runs r JOIN firings f ON f.id = r.firing_id"
    )
    failed = life.platform.rows("SELECT id, phase, message FROM runs WHERE phase != 'Succeeded'")
    (firings,) = life.platform.rows("SELECT count(*) FROM firings WHERE sensor != 'life'")[0]
    assert len(rows) == firings
    assert failed == []
    assert {path.name for path in life.marks.iterdir()} == {run for run, *_ in rows}, "each has acted, and once"
    for name, limit in LIMITS.items():
        moments = [moment for _, sensor, _, start, end in rows if sensor == name for moment in ((start, 1), (end, -1))]
        running = most = 0
        for _, step in sorted(moments):  # who ends makes room for who begins at the same moment
            running += step
            most = max(most, running)
        assert most == limit, f"{most} runs of {name} at a time"


def _check_replay(life: Life, log: Sequence[Record]) -> None:
    """The log decides the same firings once more, and not one else."""
    made = [Sensor(SensorDocument.model_validate(one)) for one in yaml.safe_load_all(life.text)]
    course = Course(made, feed_back=False)
    taken = course.begin(log[0].received)
    for record in log:
        taken += course.take(record.event, record.received)
    ((now,),) = life.platform.rows("SELECT now FROM cursors WHERE name = 'sensors'")
    taken += course.run_until(EPOCH + timedelta(microseconds=now))
    fired: dict[str, Fired] = {one.id: one for step in taken for one in step.step.firings}
    rows = life.platform.rows('SELECT id, sensor, "trigger", "key", created FROM firings')
    names = {one.id: step.sensor for step in taken for one in step.step.firings}
    again = {
        (one.id, names[one.id], one.trigger, one.key, (one.created - EPOCH) // timedelta(microseconds=1))
        for one in fired.values()
    }
    there = set(rows)
    assert there == again, f"only in the store: {sorted(there - again)}\nonly in the replay: {sorted(again - there)}"
