"""What is done at the end, whatever came of it, and files that go from container to container."""

from hera.workflows import Artifact, Container, Env, NoneArchiveStrategy, Steps, Workflow

with Workflow(generate_name="exits-", entrypoint="main") as w:
    make = Container(
        name="make",
        image="busybox",
        command=["sh", "-c"],
        args=["mkdir -p /out && echo $TEXT > /out/text"],
        env=[Env(name="TEXT", value="a model")],
        outputs=[Artifact(name="text", path="/out/text", archive=NoneArchiveStrategy())],
    )
    take = Container(
        name="take",
        image="busybox",
        command=["sh", "-c"],
        args=["cat /in/text; exit 4"],
        inputs=[Artifact(name="text", path="/in/text")],
    )
    tell = Container(name="tell", image="busybox", command=["echo", "it ended {{workflow.status}}"])
    with Steps(name="main"):
        made = make(name="make")
        take(name="take", arguments=[made.get_artifact("text").with_name("text")])
    w.on_exit = tell
