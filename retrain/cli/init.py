"""`retrain init`: a small project that works, to change into one's own."""

from __future__ import annotations

from pathlib import Path

import click

from retrain.cli.output import emit, output_option
from retrain.errors import ConfigError

FILES = {
    "sources.yaml": """\
# Where events come from: files that appear in inbox/, and a webhook.
#   curl -d '{"rows": 3}' -H 'content-type: application/json' http://127.0.0.1:7300/data
apiVersion: retrain.dev/v1
kind: EventSource
metadata:
  name: data
spec:
  file:
    arrived:
      watchPathConfig:
        directory: inbox
        pathRegexp: "^[^.].*[.]csv$"
      eventType: CREATE|WRITE
  webhook:
    posted:
      endpoint: /data
      method: POST
""",
    "sensor.yaml": """\
# What is done about them: every new file trains, with the file's path as a parameter.
apiVersion: retrain.dev/v1
kind: Sensor
metadata:
  name: train-on-new-data
spec:
  dependencies:
    - name: file
      eventSourceName: data
      eventName: arrived
  triggers:
    - template:
        name: train
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata:
                generateName: train-
              spec:
                workflowTemplateRef: {name: train}
                arguments:
                  parameters: [{name: data, value: ""}]
          parameters:
            - src: {dependencyName: file, dataKey: name}
              dest: spec.arguments.parameters.0.value
""",
    "workflow.yaml": """\
# The training, as Argo Workflows has it: here its steps are processes, on a cluster they are pods.
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata:
  name: train
spec:
  entrypoint: main
  arguments:
    parameters: [{name: data}]
  templates:
    - name: main
      steps:
        - - {name: count, template: count}
        - - name: report
            template: report
            arguments:
              parameters: [{name: rows, value: "{{steps.count.outputs.result}}"}]
            when: "{{steps.count.outputs.result}} > 0"
    - name: count
      container:
        image: python:3.11
        command: [python, -c, "import csv, sys; print(sum(1 for _ in csv.reader(open(sys.argv[1]))))"]
        args: ["{{workflow.parameters.data}}"]
    - name: report
      inputs:
        parameters: [{name: rows}]
      container:
        image: python:3.11
        command: [python, -c, "import sys; print('trained on', sys.argv[1], 'rows')", "{{inputs.parameters.rows}}"]
""",
}


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@output_option
def init(folder: Path, output: str) -> None:
    """Write a small working project into DIR. Overwrites nothing."""
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        raise ConfigError(f"{folder}: {', '.join(there)} is there already; nothing was written")
    (folder / "inbox").mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    written = {"items": [str(folder / name) for name in FILES], "next": None}
    emit(written, output, name=str, table=lambda page: click.echo("\n".join(page["items"])))
    click.echo(f"\nNow: retrain up {folder}   and put a CSV file into {folder / 'inbox'}", err=True)
