"""A library of templates, a workflow that takes one of them, and one that is the library's own."""

from hera.workflows import Parameter, Step, Steps, Workflow, WorkflowTemplate, script
from hera.workflows.models import TemplateRef, WorkflowTemplateRef


@script()
def shout(text: str):
    print(text.upper())


with WorkflowTemplate(
    name="library", entrypoint="shouts", arguments=[Parameter(name="word", value="library")]
) as library:
    with Steps(name="shouts"):
        shout(name="shouted", arguments={"text": "{{workflow.parameters.word}}"})

with Workflow(generate_name="takes-", entrypoint="main") as takes:
    with Steps(name="main"):
        Step(
            name="one",
            template_ref=TemplateRef(name="library", template="shout"),
            arguments={"text": "taken"},
        )

whole = Workflow(
    generate_name="whole-",
    workflow_template_ref=WorkflowTemplateRef(name="library"),
    arguments={"word": "whole"},
)
