"""A diamond, drawn with `>>`, of functions whose source is the script."""

from hera.workflows import DAG, Workflow, script


@script()
def echo(message: str):
    print(message)


with Workflow(generate_name="diamond-", entrypoint="diamond") as w:
    with DAG(name="diamond"):
        a = echo(name="A", arguments={"message": "A"})
        b = echo(name="B", arguments={"message": "B"})
        c = echo(name="C", arguments={"message": "C"})
        d = echo(name="D", arguments={"message": f"D after {b.result} and {c.result}"})
        a >> [b, c] >> d
