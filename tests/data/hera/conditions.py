"""Branches: on a figure (`when`), on how a task ended, and on what was not taken."""

from hera.workflows import DAG, Task, Workflow, script


@script()
def accuracy():
    print(0.91)


@script()
def say(what: str):
    print(what)


@script()
def broken():
    raise SystemExit(3)


with Workflow(generate_name="conditions-", entrypoint="main") as w:
    with DAG(name="main"):
        measured: Task = accuracy()
        deploy: Task = say(name="deploy", arguments={"what": "deploy"})
        deploy.when = f"{measured.result} > 0.9"
        tell: Task = say(name="tell", arguments={"what": "not good enough"})
        tell.when = f"{measured.result} <= 0.9"
        measured >> [deploy, tell]
        attempt: Task = broken(name="attempt")
        repair: Task = say(name="repair", arguments={"what": "repaired"})
        celebrate: Task = say(name="celebrate", arguments={"what": "never"})
        always: Task = say(name="always", arguments={"what": "ended"})
        attempt.on_failure(repair)
        attempt.on_success(celebrate)
        always.depends = "repair || celebrate"
