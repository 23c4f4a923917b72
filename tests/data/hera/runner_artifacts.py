"""Functions that run through Hera's runner: annotated parameters and artifacts, several outputs."""

import json
from pathlib import Path
from typing import Annotated

from hera.shared import global_config
from hera.workflows import Artifact, ArtifactLoader, Parameter, Steps, Workflow, script

global_config.experimental_features["script_annotations"] = True


@script(constructor="runner")
def prepare(
    rows: Annotated[int, Parameter(name="number-of-rows", description="at least one")],
    table: Annotated[Path, Artifact(name="table", output=True)],
) -> Annotated[float, Parameter(name="mean")]:
    values = list(range(rows))
    table.write_text(json.dumps(values))
    return sum(values) / rows


@script(constructor="runner")
def summarise(
    table: Annotated[list, Artifact(name="table", loader=ArtifactLoader.json)],
    mean: Annotated[float, Parameter(name="mean")],
) -> tuple[Annotated[str, Parameter(name="summary")], Annotated[dict, Artifact(name="report")]]:
    return f"{len(table)} rows, mean {mean}", {"rows": len(table), "mean": mean}


@script(constructor="runner")
def show(report: Annotated[dict, Artifact(name="report", loader=ArtifactLoader.json)]) -> str:
    return f"{report['rows']}/{report['mean']}"


with Workflow(generate_name="runner-", entrypoint="main") as w:
    with Steps(name="main"):
        prepared = prepare(arguments={"number-of-rows": 5})
        summed = summarise(
            arguments={"mean": prepared.get_parameter("mean"), "table": prepared.get_artifact("table")},
        )
        show(arguments={"report": summed.get_artifact("report")})
