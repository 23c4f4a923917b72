"""Containers one after the other and side by side."""

from hera.workflows import Container, Parameter, Steps, Workflow

with Workflow(generate_name="hello-", entrypoint="main") as w:
    say = Container(
        name="say",
        image="busybox",
        command=["sh", "-c"],
        args=["echo hello {{inputs.parameters.to}}"],
        inputs=[Parameter(name="to", default="nobody")],
    )
    with Steps(name="main") as steps:
        say(name="first", arguments={"to": "world"})
        with steps.parallel():
            say(name="left", arguments={"to": "moon"})
            say(name="right")

w.create()
