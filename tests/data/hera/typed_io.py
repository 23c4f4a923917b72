"""Models as inputs and outputs: Hera's `Input` and `Output`, checked by pydantic on both sides."""

from typing import Annotated

from hera.shared import global_config
from hera.workflows import DAG, Artifact, ArtifactLoader, Input, Output, Parameter, Workflow, script
from pydantic import BaseModel, Field

global_config.experimental_features["script_pydantic_io"] = True


class Settings(BaseModel):
    epochs: int = Field(ge=1)
    rates: list[float]


class TrainInput(Input):
    settings: Settings
    name: Annotated[str, Parameter(name="model-name")] = "net"


class TrainOutput(Output):
    score: Annotated[float, Parameter(name="score")]
    weights: Annotated[list[float], Artifact(name="weights")]


class JudgeInput(Input):
    score: float
    weights: Annotated[list[float], Artifact(name="weights", loader=ArtifactLoader.json)]


@script(constructor="runner")
def train(given: TrainInput) -> TrainOutput:
    weights = [rate * given.settings.epochs for rate in given.settings.rates]
    return TrainOutput(score=sum(weights), weights=weights)


@script(constructor="runner")
def judge(given: JudgeInput) -> Output:
    return Output(result=f"{given.score} of {len(given.weights)}", exit_code=0)


with Workflow(generate_name="typed-", entrypoint="main") as w:
    with DAG(name="main"):
        trained = train(arguments={"settings": Settings(epochs=2, rates=[0.5, 1.5]), "model-name": "small"})
        judged = judge(arguments={"score": trained.get_parameter("score"), "weights": trained.get_artifact("weights")})
        trained >> judged
