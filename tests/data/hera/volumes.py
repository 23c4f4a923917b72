"""A volume that lives as long as the run; what one step leaves there the next one finds."""

from hera.workflows import DAG, Resources, Volume, Workflow, script


@script(image="python:3.12", resources=Resources(cpu_request="100m", memory_request="64Mi"), volume_mounts=[])
def nothing():
    pass


work = Volume(name="work", size="1Gi", mount_path="/mnt/work")


@script(volumes=[work])
def write(text: str):
    with open("/mnt/work/file", "w") as file:
        file.write(text)


@script(volumes=[work])
def read():
    print(open("/mnt/work/file").read())


with Workflow(generate_name="volumes-", entrypoint="main", volumes=[work]) as w:
    with DAG(name="main"):
        nothing() >> write(arguments={"text": "kept"}) >> read()
