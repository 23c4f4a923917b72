"""Functions of the runner that call another module of the folder; the values go on with the workflow's own name."""

from hera.workflows import DAG, Parameter, Workflow, script

from helping import doubled


@script(constructor="runner")
def double(n: int) -> int:
    return doubled(n)


if __name__ == "__main__":
    with Workflow(generate_name="helped-", entrypoint="main", arguments=Parameter(name="n", value=21)) as w:
        with DAG(name="main"):
            double(arguments={"n": w.get_parameter("n")})
    w.create(wait=True)
