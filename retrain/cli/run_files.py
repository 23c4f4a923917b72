"""What `retrain run` is to run: the workflows of its files, with the parameters, labels and names that are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from retrain.errors import ConfigError

if TYPE_CHECKING:
    from pipelines.local.foreground import LocalRun
    from retrain.app.projects.catalog import Item
    from retrain.app.projects.project import Project
    from retrain.manifests.document import Document


def load(options: Mapping[str, Any]) -> Project:
    """All documents of the files. What is wrong is said on stderr; what could be better is `retrain lint`'s business.

    A workflow is checked with the parameters that it gets, as Argo's server checks what `argo submit` has made of it.

    Raises:
        InvalidWorkflows: one of them has an error.
        ConfigError: what was given for it cannot be used.
    """
    from retrain.app.projects.project import load_project

    paths, beside = cast("Sequence[str]", options["files"]), cast("Sequence[str]", options["beside"])
    for path in beside:
        if not Path(path).exists():
            raise ConfigError(f"--with {path}: there is no file or directory of that name")
    files = [path for path in paths if not is_python(path)]
    project = load_project(files, beside, changed=lambda body: changed(body, options))
    for finding in project.errors:
        click.echo(str(finding), err=True)
    if project.errors:
        from retrain.cli.run_refused import invalid

        raise invalid(project, paths)
    return project


def wanted(project: Project, options: Mapping[str, Any]) -> list[LocalRun]:
    """The workflows to run, in the order of the files.

    Raises:
        ConfigError: there is none, or what was given for it cannot be used.
    """
    from pipelines.core.plan import Catalog
    from pipelines.local.foreground import LocalRun, named

    written = [one for file in options["files"] for one in _written_in_python(file)]
    files = {str(file) for file in options["files"]}
    of_files = [document.body for document in documents(project, options)]
    found = [*of_files, *(one for one in written if one.get("kind") == "Workflow")]
    if not found:
        raise ConfigError(f"no Workflow in {', '.join(sorted(files))}{_instead(project, files)}")
    if options["name"] and len(found) > 1:
        raise ConfigError(f"--name names one run, and there are {len(found)} workflows")
    beside = [item.document.body for item in (*project.workflow_templates, *project.config_maps)]
    catalog = Catalog.of([*beside, *(one for one in written if one.get("kind") != "Workflow")])
    bodies = [changed(body, options) for body in found]
    objects = (*project.config_maps, *project.secrets, *project.volume_claims)
    around = tuple(item.document.body for item in objects)
    return [LocalRun(body, named(body, options["name"]), catalog, keep=True, documents=around) for body in bodies]


def documents(project: Project, options: Mapping[str, Any]) -> list[Document]:
    """The documents of the workflows to run, in their order; those that a program defines have none."""
    files = {str(file) for file in options["files"]}
    return [item.document for item in project.workflows if _is_from(item, files)]


def documents_beside(project: Project) -> list[tuple[Document, str]]:
    """Those of the objects that stand beside the workflows, with their names."""
    objects = (*project.config_maps, *project.secrets, *project.volume_claims, *project.workflow_templates)
    return [(item.document, item.document.name) for item in objects]


def beside(project: Project, options: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What stands beside the workflows, for a cluster that must have it first: objects, then templates."""
    objects = (*project.config_maps, *project.secrets, *project.volume_claims, *project.workflow_templates)
    written = [one for file in options["files"] for one in _written_in_python(file) if one.get("kind") != "Workflow"]
    return [*(item.document.body for item in objects), *written]


def _instead(project: Project, files: set[str]) -> str:
    """What there is to run, where there is no Workflow."""
    for template in project.workflow_templates:
        if template.document.kind == "WorkflowTemplate" and _is_from(template, files):
            name, file = template.document.name, template.document.file
            ref = f"spec: {{workflowTemplateRef: {{name: {name}}}}}"
            return f"; to run the WorkflowTemplate {name}, write a Workflow with `{ref}` and say --with {file}"
    return ""


def is_python(file: str) -> bool:
    """Whether a file is a program that defines workflows with Hera."""
    return file.endswith(".py")


def _written_in_python(file: str) -> list[dict[str, Any]]:
    if not is_python(file):
        return []
    from retrain.app.projects.python_files import manifests_of

    return manifests_of(Path(file))


def changed(manifest: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the parameters, labels and entrypoint that the command line gives."""
    from pipelines.local.foreground import with_parameters

    values = {**_from_file(options["parameter_file"]), **dict(_pair(text, "-p") for text in options["parameters"])}
    found = with_parameters(manifest, values)
    if options["entrypoint"]:
        found = {**found, "spec": {**(found.get("spec") or {}), "entrypoint": options["entrypoint"]}}
    labels = dict(_pair(text, "--labels") for part in options["labels"] for text in part.split(","))
    if labels:
        metadata: Mapping[str, Any] = found.get("metadata") or {}
        found = {**found, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}}}
    return found


def _from_file(file: Path | None) -> dict[str, str]:
    """Parameters of a YAML or JSON file: a mapping; values that are no texts are written as JSON, as Argo does.

    Raises:
        ConfigError: it cannot be read, or is no mapping.
    """
    if file is None:
        return {}
    import json

    import yaml

    try:
        content: object = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"--parameter-file {file}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"--parameter-file {file}: must be a mapping of names to values")
    mapping = cast("dict[object, object]", content)
    return {
        str(name): value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in mapping.items()
    }


def _is_from(item: Item, files: set[str]) -> bool:
    """Whether a document comes from one of the files (or directories) to run, not from what is loaded beside them."""
    path = Path(item.document.file)
    return str(path) in files or any(path.is_relative_to(file) for file in files)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        what = "a parameter" if option == "-p" else "a label"
        raise ConfigError(f"{option} {text!r}: {what} is NAME=VALUE")
    return name, value


def references(project: Project) -> dict[tuple[str, str], dict[str, str]]:
    """What steps may name: the Secrets, ConfigMaps and claims of the documents."""
    import os

    found: dict[tuple[str, str], dict[str, str]] = {
        ("PersistentVolumeClaim", item.document.name): {} for item in project.volume_claims
    }
    if project.secrets or project.config_maps:
        from retrain.app.projects.secrets import ProjectSecrets

        documents = ([i.document.body for i in project.secrets], [i.document.body for i in project.config_maps])
        known = ProjectSecrets(*documents, os.environ)
        found |= {("Secret", name): values for name, values in known.secrets().items()}
        found |= {("ConfigMap", name): values for name, values in known.configs().items()}
    return found


def notes(bodies: Sequence[Mapping[str, Any]], given: Sequence[str] = ()) -> Iterator[str]:
    """What of the workflows is for a cluster and is passed over here, and which of the parameters that are `given` (as
    NAME=VALUE) none of them reads; each note once."""
    from pipelines.checks.unsupported import ignored

    yield from dict.fromkeys(problem.message for body in bodies for problem in ignored(body))
    for name in dict.fromkeys(text.partition("=")[0] for text in given):
        if not any(_may_read(body, name) for body in bodies):
            yield f"no workflow here reads the parameter {name!r}"


def _may_read(body: Mapping[str, Any], name: str) -> bool:
    """Whether a workflow reads one of its parameters, as far as it can be seen in its own text."""
    import json

    spec: Mapping[str, Any] = body.get("spec") or {}
    text = json.dumps({key: value for key, value in spec.items() if key != "arguments"}, ensure_ascii=False)
    elsewhere = "emplateRef" in text or "workflow.parameters}}" in text or "workflow.parameters.json" in text
    return elsewhere or any(f"parameters{how}" in text for how in (f".{name}", f"['{name}']", f'[\\"{name}\\"]'))
