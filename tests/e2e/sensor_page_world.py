"""The world of the page's tests of sensors: a lake with two halves of each day, a sensor with limits, and one that a
changed copy of would judge otherwise. Triggers only write a line, so nothing takes long."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.page_world import SETTINGS, PageWorld
from tests.e2e.platform_driver import Platform

SENSORS = """\
# What trains the orders model, by the day.
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: orders}
spec:
  dependencies:
    - {name: features, eventSourceName: lake, eventName: features, key: date}
    - name: labels  # few rows are not worth it
      eventSourceName: lake
      eventName: labels
      key: date
      filters: {data: [{path: rows, type: number, comparator: ">=", value: ["100"]}]}
  triggers:
    - template: {name: train, conditions: features && labels, log: {}}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: costly}
spec:
  dependencies: [{name: asked, eventSourceName: desk, eventName: wish}]
  triggers:
    - template: {name: spend, log: {}}
      budget: {runs: 1, per: day, onExceed: approve}
"""
SOURCES = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: lake}
spec:
  webhook:
    features: {endpoint: /features, method: POST, url: "http://ada:hunter2@lake.example.com"}
    labels: {endpoint: /labels, method: POST}
"""


@contextmanager
def sensor_world(place: Path, *, more: str = "") -> Generator[PageWorld]:
    """A platform on that project; `more`: sensors besides."""
    platform = Platform(place)
    platform.write("retrain.yaml", SETTINGS)
    platform.write("sensors.yaml", SENSORS + more)
    platform.write("sources.yaml", SOURCES)
    with platform:
        yield PageWorld(platform, place)
