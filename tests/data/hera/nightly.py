"""A schedule: what `retrain up` runs, and `retrain lint` checks."""

from hera.workflows import Container, CronWorkflow

with CronWorkflow(
    name="nightly",
    schedules=["0 2 * * *"],
    timezone="Europe/Berlin",
    concurrency_policy="Forbid",
    entrypoint="train",
) as w:
    Container(name="train", image="python:3.12", command=["python", "-c"], args=["print('trained')"])
