"""Containers of one pod that share a directory, in an order of their own."""

from hera.workflows import ContainerNode, ContainerSet, EmptyDirVolume, Parameter, Steps, Workflow, script
from hera.workflows.models import ValueFrom, VolumeMount


@script()
def show(text: str):
    print(text)


with Workflow(generate_name="set-", entrypoint="main", volumes=[EmptyDirVolume(name="work")]) as w:
    with ContainerSet(
        name="set",
        volume_mounts=[VolumeMount(name="work", mount_path="/workspace")],
        outputs=[Parameter(name="text", value_from=ValueFrom(path="/workspace/text"))],
    ) as together:
        a = ContainerNode(name="a", image="alpine", command=["sh", "-c"], args=["printf a >> /workspace/text"])
        b = ContainerNode(name="b", image="alpine", command=["sh", "-c"], args=["printf b >> /workspace/text"])
        main = ContainerNode(name="main", image="alpine", command=["sh", "-c"], args=["printf c >> /workspace/text"])
        a >> b >> main
    with Steps(name="main"):
        done = together(name="together")
        show(name="show", arguments={"text": done.get_parameter("text")})
