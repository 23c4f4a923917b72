"""A project that promotes what an event names: to staging at once, to production with an approval."""

from __future__ import annotations

PROJECT = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: promote}
spec:
  dependencies: [{name: built, eventSourceName: lab, eventName: model}]
  triggers:
    - template:
        name: propose
        promotion:
          name: model
          parameters: [{src: {dependencyName: built, dataKey: candidate}, dest: candidate}]
---
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: model}
spec:
  repo: {url: REPOSITORY}
  environments:
    - name: staging
      edits: [{file: staging.yaml, path: spec.uri, value: "{{candidate.uri}}"}]
    - name: production
      edits: [{file: production.yaml, path: spec.uri, value: "{{candidate.uri}}"}]
      approvals: {required: 1}
"""
