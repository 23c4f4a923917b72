"""The same step for each item: a list that is written down, one that a step makes, and what they gave together."""

from hera.workflows import DAG, Workflow, script


@script()
def rates():
    import json

    print(json.dumps([{"lr": 0.1, "depth": 2}, {"lr": 0.01, "depth": 3}]))


@script()
def train(lr: float, depth: int):
    print(int(lr * 100) + depth)


@script()
def best(scores: list):
    print(max(scores))


with Workflow(generate_name="loops-", entrypoint="main") as w:
    with DAG(name="main"):
        fixed = train(name="fixed", arguments={"lr": "{{item}}", "depth": 1}, with_items=[0.5, 0.25])
        found = rates()
        tried = train(name="tried", arguments={"lr": "{{item.lr}}", "depth": "{{item.depth}}"}, with_param=found.result)
        chosen = best(name="best", arguments={"scores": tried.result})
        fixed >> found >> tried >> chosen
