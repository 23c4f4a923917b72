"""Functions as scripts: parameters of types other than text are read as JSON, results are printed."""

from hera.workflows import Steps, Workflow, script


@script(image="python:3.12")
def numbers(count: int):
    import json

    print(json.dumps([n * n for n in range(count)]))


@script()
def total(values: list, label: str = "sum", weights: dict = {"a": 1}):
    print(f"{label}={sum(values)} {weights['a']}")


with Workflow(generate_name="inline-", entrypoint="main") as w:
    with Steps(name="main"):
        squares = numbers(arguments={"count": 4})
        total(name="total", arguments={"values": squares.result, "weights": {"a": 7}})
