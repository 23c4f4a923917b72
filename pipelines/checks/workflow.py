"""Whether Argo would take a document: `check` says what upstream's linter says; `unsupported` what we cannot run yet.

Every template is looked at by itself, so one mistake does not hide the next.

Source: workflow/validate/validate.go of Argo Workflows.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipelines.checks.rules import (
    LEAVES,
    PODS,
    POLICIES,
    TITLES,
    Invalid,
    check_arguments,
    check_hooks,
    check_inputs,
    check_items,
    check_leaf,
    check_metrics,
    check_names,
    check_outputs,
    check_pod_resources,
    check_tags,
    check_type,
    has_location,
    is_parameter,
    name_problem,
)
from pipelines.checks.schedule import check_binding, check_cron
from pipelines.checks.unsupported import Path, unsupported
from pipelines.core.depends import Depends, DependsError, depends_of, tolerant_of
from pipelines.core.graph import graph_of
from pipelines.core.naming import go_text
from pipelines.core.plan import TEMPLATE_KINDS, Catalog, merged_arguments
from pipelines.core.substitute import tags
from pipelines.spec import AnyDocument, modern, normalize, of_cron, written
from retrain.errors import ConfigError
from retrain.manifests import Problem

__all__ = ["check", "unsupported"]

MAX_NAME = 63
GLOBALS = ("name", "namespace", "mainEntrypoint", "serviceAccountName", "uid", "status", "annotations", "labels")
RETRY = ("retries", "lastRetry.exitCode", "lastRetry.status", "lastRetry.duration", "lastRetry.message")
Known = dict[str, bool]
Seen = Mapping[str, bool]
Template = Mapping[str, Any]


def check(document: AnyDocument | Mapping[str, Any], catalog: Catalog) -> Iterator[Problem]:
    """What is wrong with a Workflow or a template document, in upstream's words. `catalog`: what it may refer to."""
    body = modern(normalize(document) if isinstance(document, Mapping) else written(document))
    if body["kind"] == "WorkflowEventBinding":
        yield from check_binding(body, catalog)
        return
    if body["kind"] == "CronWorkflow":
        yield from check_cron(body)
        for problem in check(of_cron(body), catalog):
            yield replace(problem, path=("spec", "workflowSpec", *problem.path[1:]))
        return
    checker = _Checker(body, catalog)
    yield from checker.document()
    for index, template in enumerate(checker.templates):
        try:
            checker.template(template)
        except ConfigError as error:
            yield Problem(("spec", "templates", index), _code(error), str(error))


def _code(error: ConfigError) -> str:
    return error.code if isinstance(error, Invalid) else "invalid"


@dataclass(frozen=True, slots=True)
class _Source:
    """Templates by name, and the defaults under them."""

    templates: Mapping[str, Template]
    defaults: Template


class _Checker:
    def __init__(self, body: Mapping[str, Any], catalog: Catalog) -> None:
        self._body, self._spec, self._catalog = body, body["spec"], catalog
        self._is_template = body["kind"] in TEMPLATE_KINDS
        self._base = self._referred()
        self.templates: list[Template] = self._spec.get("templates") or []
        # What nobody has seen may bring all that is missing here; that it is not there is said once.
        self._unseen = bool(self._spec.get("workflowTemplateRef")) and not self._base and not self.templates
        own = {str(t.get("name") or ""): t for t in self.templates}
        self._own = _Source(own, self._spec.get("templateDefaults") or {})
        self._arguments = merged_arguments(self._base.get("arguments") or {}, self._spec.get("arguments") or {})
        self._globals = self._known_globals()

    def _referred(self) -> Mapping[str, Any]:
        ref: Mapping[str, Any] | None = self._spec.get("workflowTemplateRef")
        document = self._catalog.templates.get((bool(ref.get("clusterScope")), str(ref.get("name")))) if ref else None
        return normalize(document)["spec"] if document else {}

    # --- the document -----------------------------------------------------------------------------------------------

    def document(self) -> Iterator[Problem]:
        rules: list[tuple[Path, Any]] = [
            (("metadata", "name"), self._name),
            (("spec", "workflowTemplateRef"), self._reference),
            (("spec", "templates"), lambda: check_names(self.templates, "spec.templates")),
            (("spec", "arguments"), self._check_arguments),
            (("spec", "entrypoint"), self._entrypoint),
            (("spec", "onExit"), lambda: self._called(self._spec.get("onExit"), self._own)),
            (("spec", "hooks"), lambda: check_hooks(self._spec.get("hooks"), "hooks")),
            (("spec", "podGC"), self._pod_gc),
            (
                ("spec", "podResources"),
                lambda: check_pod_resources(self._spec.get("podResources"), "spec.podResources"),
            ),
        ]
        for path, rule in rules:
            try:
                rule()
            except ConfigError as error:
                yield Problem(path, _code(error), str(error))

    def _name(self) -> None:
        name = self._body["metadata"].get("name") or ""
        if len(name) > MAX_NAME:
            kind = {"Workflow": "workflow", "WorkflowTemplate": "workflow template"}.get(self._body["kind"])
            text = f'{kind or "cluster workflow template"} name "{name}" must not be more than 63 characters long '
            raise Invalid(f"{text}(currently {len(name)})", "name-invalid")

    def _reference(self) -> None:
        ref: Mapping[str, Any] | None = self._spec.get("workflowTemplateRef")
        if ref is None:
            return
        if self.templates:
            text = "Templates is invalid field in spec if workflow referred WorkflowTemplate reference"
            raise Invalid(text, "template-reference")
        if not self._base:
            kind = "clusterworkflowtemplates" if ref.get("clusterScope") else "workflowtemplates"
            raise Invalid(f'{kind}.argoproj.io "{ref.get("name")}" not found', "template-reference")

    def _check_arguments(self) -> None:
        check_arguments(self._arguments, "spec.arguments.", empty_ok=self._is_template or self._unseen)

    def _entrypoint(self) -> None:
        entry = self._spec.get("entrypoint") or self._base.get("entrypoint")
        if not entry:
            if not self._is_template and not self._unseen:
                raise Invalid("spec.entrypoint is required", "entrypoint")
            return
        source = self._source_of_base() if self._base else self._own
        template = self._called(entry, source)
        if template is not None and not self._is_template:
            self._supplied(template, self._arguments)

    def _source_of_base(self) -> _Source:
        named = {str(t.get("name") or ""): t for t in self._base.get("templates") or ()}
        return _Source(named, self._base.get("templateDefaults") or {})

    def _called(self, name: Any, source: _Source) -> Template | None:
        if not name or self._unseen or (self._base and source is self._own) or is_parameter(str(name)):
            return None
        if str(name) not in source.templates:
            raise Invalid(f"template name '{name}' undefined", "template-undefined")
        return source.templates[str(name)]

    def _pod_gc(self) -> None:
        strategy = (self._spec.get("podGC") or {}).get("strategy") or ""
        if strategy not in ("", "OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess"):
            raise Invalid(f"podGC.strategy unknown strategy '{strategy}'", "pod-gc")

    def _known_globals(self) -> Known:
        known = {f"workflow.{key}": True for key in GLOBALS}
        known |= {"workflow.annotations.json": True, "workflow.labels.json": True}
        more: Mapping[str, Any] = self._spec.get("workflowMetadata") or {}
        base: Mapping[str, Any] = self._base.get("workflowMetadata") or {}
        for kind in ("annotations", "labels"):
            sources = (self._body["metadata"].get(kind), more.get(kind), base.get(kind))
            known |= {f"workflow.{kind}.{key}": True for source in sources for key in source or ()}
        known |= {f"workflow.labels.{k}": True for source in (more, base) for k in source.get("labelsFrom") or ()}
        parameters = self._arguments.get("parameters") or ()
        if parameters:
            known |= {"workflow.parameters": True, "workflow.parameters.json": True}
        known |= {f"workflow.parameters.{p['name']}": True for p in parameters}
        if self._spec.get("priority") is not None:
            known["workflow.priority"] = True
        if self._spec.get("onExit") or self._base.get("onExit"):
            known["workflow.failures"] = True
        for template in [*self.templates, *(self._base.get("templates") or ())]:
            known |= _exports(template)
        return known

    # --- templates --------------------------------------------------------------------------------------------------

    def template(self, template: Template) -> None:
        kind = check_type(template)
        name = template.get("name", "")
        self._pod_fields(template, kind)
        check_inputs(template, kind)
        known = self._globals | _own_scope(template, kind)
        if (template.get("retryStrategy") or {}).get("retryPolicy", "") not in POLICIES:
            raise Invalid(f"{template['retryStrategy']['retryPolicy']} is not a valid RetryPolicy", "retry")
        if kind not in LEAVES and template.get("activeDeadlineSeconds") is not None:
            raise Invalid(f"templates.{name}.activeDeadlineSeconds is only valid for leaf templates", "deadline")
        if template.get("timeout") is not None:
            _check_timeout(template, kind)
        if kind == "steps":
            self._steps(template, known)
        elif kind == "dag":
            self._dag(template, known)
        else:
            self._resolve(template, known, f"templates.{name}:")
            check_leaf(template, kind, self._own.defaults)
        self._resolve(template.get("outputs") or {}, known, f"templates.{name}.outputs")
        check_outputs(template, kind)
        check_metrics(template)

    def _pod_fields(self, template: Template, kind: str) -> None:
        name = template.get("name", "")
        if template.get("podResources") and kind in ("http", "plugin"):
            text = f"templates.{name}.podResources is not supported for {TITLES[kind]} templates"
            raise Invalid(text, "pod-resources")
        check_pod_resources(template.get("podResources"), f"templates.{name}.podResources")
        if template.get("resourceClaims") and kind not in PODS:
            text = f"templates.{name}.resourceClaims is not supported for {TITLES[kind]} templates, "
            raise Invalid(text + "which do not create a pod", "pod-resources")

    def _resolve(self, value: Any, known: Seen, where: str) -> None:
        try:
            check_tags(value, known, any_parameters=self._is_template)
        except Invalid as error:
            raise Invalid(f"{where} {error}", error.code) from None

    def _steps(self, template: Template, known: Known) -> None:
        name, seen = template.get("name", ""), set[str]()
        for index, group in enumerate(template["steps"]):
            for step in group:
                title = str(step.get("name") or "")
                where = f"templates.{name}.steps[{index}]"
                if not title:
                    raise Invalid(f"{where}.name is required", "name-required")
                if title in seen:
                    raise Invalid(f"{where}.name '{title}' is not unique", "name-not-unique")
                if not is_parameter(title) and (problem := name_problem(title)):
                    raise Invalid(f"{where}.name '{title}' is invalid: {problem}", "name-invalid")
                seen.add(title)
                known[f"steps.{title}.status"] = True
                self._step(step, known, f"{where}.{title}", f"templates.{name}.steps")

    def _step(self, step: Mapping[str, Any], known: Known, where: str, tags_where: str) -> None:
        title = str(step["name"])
        try:
            known |= check_items(step)
        except Invalid as error:
            raise Invalid(f"{where} {error}", error.code) from None
        check_arguments(step.get("arguments"), f"{where}.arguments.")
        called = self._calls(step, where)
        check_hooks(step.get("hooks"), where)
        seen = known | _inline_inputs(step)
        if step.get("onExit") or "exit" in (step.get("hooks") or {}):
            seen |= _gives("steps", title, called, False)
        self._resolve(step, seen, tags_where)
        known |= _gives("steps", title, called, bool(step.get("withItems") or step.get("withParam")))
        self._supplied_to(called, step, where)

    def _calls(self, step: Mapping[str, Any], where: str) -> Template | None:
        """The template that a step or task calls; None where that is only known later."""
        if step.get("inline"):
            self.template({"name": "", **step["inline"]})
            return step["inline"]
        try:
            return (
                self._reference_of(step) if step.get("templateRef") else self._called(step.get("template"), self._own)
            )
        except Invalid as error:
            raise Invalid(f"{where} {error}", error.code) from None

    def _reference_of(self, step: Mapping[str, Any]) -> Template | None:
        ref: Mapping[str, Any] = step["templateRef"]
        if step.get("template"):
            raise Invalid("template name cannot be specified with templateRef", "template-reference")
        for key, what in (("name", "resource name"), ("template", "template name")):
            if not ref.get(key):
                raise Invalid(f"{what} is required", "template-reference")
        if is_parameter(str(ref["name"])) or is_parameter(str(ref["template"])):
            return None
        document = self._catalog.templates.get((bool(ref.get("clusterScope")), str(ref["name"])))
        found = [] if document is None else normalize(document)["spec"].get("templates") or []
        for template in found:
            if template.get("name") == ref["template"]:
                return template
        raise Invalid(f"template reference {ref['name']}.{ref['template']} not found", "template-reference")

    def _supplied_to(self, template: Template | None, step: Mapping[str, Any], where: str) -> None:
        if template is None:
            return
        try:
            self._supplied(template, step.get("arguments") or {})
        except Invalid as error:
            raise Invalid(f"{where} {error}", error.code) from None

    def _supplied(self, template: Template, arguments: Mapping[str, Any]) -> None:
        """Every input of a template gets a value."""
        given = {p["name"]: p for p in arguments.get("parameters") or ()}
        artifacts = {a["name"] for a in arguments.get("artifacts") or ()}
        inputs: Mapping[str, Any] = template.get("inputs") or {}
        name = template.get("name", "")
        for parameter in inputs.get("parameters") or ():
            own = any(parameter.get(key) is not None for key in ("value", "default", "valueFrom"))
            if not own and parameter["name"] not in given:
                raise Invalid(
                    f"templates.{name} inputs.parameters.{parameter['name']} was not supplied", "not-supplied"
                )
        for artifact in inputs.get("artifacts") or ():
            if not artifact.get("optional") and not has_location(artifact) and artifact["name"] not in artifacts:
                raise Invalid(f"templates.{name} inputs.artifacts.{artifact['name']} was not supplied", "not-supplied")

    def _dag(self, template: Template, known: Known) -> None:
        name, tasks = template.get("name", ""), template["dag"].get("tasks") or []
        if not tasks:
            raise Invalid(f"templates.{name} must have at least one task", "dependency")
        named = {str(task.get("name") or ""): task for task in tasks}
        self._graph(template, named)
        called = {title: self._calls(task, f"templates.{name}.tasks.{title}") for title, task in named.items()}
        is_above = graph_of({"tasks": tasks}).is_above
        for title in named:
            known |= _gives("tasks", title, called[title], _loops(named[title]))
        self._resolve(template["dag"].get("target") or "", known, f"templates.{name}.targets")
        for title, task in named.items():
            where = f"templates.{name}.tasks.{title}"
            above = partial(is_above, task=title)
            try:
                own = check_items(task) | _inline_inputs(task) | _statuses(task, above)
            except Invalid as error:
                raise Invalid(f"{where} {error}", error.code) from None
            if task.get("hooks"):
                own[f"tasks.{title}.status"] = True
            check_hooks(task.get("hooks"), where)
            self._resolve(task, ChainMap(own, known), where)
            check_arguments(task.get("arguments"), f"{where}.arguments.")
            _check_ancestry(task, above, where)
            self._supplied_to(called[title], task, where)

    def _graph(self, template: Template, named: Mapping[str, Mapping[str, Any]]) -> None:
        name, tasks = template.get("name", ""), template["dag"]["tasks"]
        check_names(tasks, f"templates.{name}.tasks")
        uses_depends = any(task.get("depends") for task in tasks)
        tolerant, needs = tolerant_of(named), dict[str, tuple[str, ...]]()
        for title, task in named.items():
            where = f"templates.{name}.tasks.{title}"
            if (uses_depends or task.get("dependencies")) and title[0].isdigit():
                text = f"{where} name cannot begin with a digit when using either 'depends' or 'dependencies'"
                raise Invalid(text, "name-invalid")
            if uses_depends and task.get("dependencies"):
                text = f"templates.{name} cannot use both 'depends' and 'dependencies' in the same DAG template"
                raise Invalid(text, "depends")
            if uses_depends and task.get("continueOn"):
                text = f"templates.{name} cannot use 'continueOn' when using 'depends'. "
                raise Invalid(text + "Instead use 'dep-task.Failed'/'dep-task.Errored'", "depends")
            try:
                depends = depends_of(task, tolerant)
            except DependsError as error:
                raise Invalid(f"{where} {error}", "depends") from None
            _check_terms(depends, named, where)
            needs[title] = depends.tasks if depends else ()
        _check_cycles(name, needs)
        for target in str(template["dag"].get("target") or "").split(" "):
            if target and not is_parameter(target) and target not in named:
                raise Invalid(f"templates.{name}.targets: target '{target}' is not defined", "depends")


# --- scopes ---------------------------------------------------------------------------------------------------------


def _own_scope(template: Template, kind: str) -> Known:
    """What a template knows of itself."""
    inputs: Mapping[str, Any] = template.get("inputs") or {}
    known: Known = {f"inputs.parameters.{p['name']}": True for p in inputs.get("parameters") or ()}
    known["inputs.parameters"] = True  # the whole list, also where it is empty: Hera's runner asks for it always
    for artifact in inputs.get("artifacts") or ():
        known |= {f"inputs.artifacts.{artifact['name']}": True, f"inputs.artifacts.{artifact['name']}.path": True}
    if kind in PODS:
        known["pod.name"] = True
    return known | dict.fromkeys(RETRY, True)


def _gives(prefix: str, name: str, template: Template | None, loops: bool) -> Known:
    """What a step or task that calls a template can be asked for."""
    keys = ["id", "startedAt", "finishedAt", "hostNodeName"]
    if template is not None:
        outputs: Mapping[str, Any] = template.get("outputs") or {}
        keys += ["ip"] if template.get("daemon") else []
        if any(template.get(k) is not None for k in ("container", "script", "containerSet", "data", "http", "plugin")):
            keys += ["outputs.result", "exitCode"]
        keys += [f"outputs.parameters.{p['name']}" for p in outputs.get("parameters") or ()]
        keys += [f"outputs.artifacts.{a['name']}" for a in outputs.get("artifacts") or ()]
        keys += ["outputs.parameters"] if loops else []
    return {f"{prefix}.{name}.{key}": True for key in keys}


def _statuses(task: Mapping[str, Any], is_above: Callable[[str], bool]) -> Known:
    """The `tasks.X.status` that a task reads and may: only those of tasks that ended before it."""
    read = (tag.split(".") for tag in tags(task) if tag.startswith("tasks.") and tag.endswith(".status"))
    return {f"tasks.{parts[1]}.status": True for parts in read if is_above(parts[1])}


def _loops(task: Mapping[str, Any]) -> bool:
    return bool(task.get("withItems") or task.get("withParam"))


def _inline_inputs(step: Mapping[str, Any]) -> Known:
    inputs: Mapping[str, Any] = (step.get("inline") or {}).get("inputs") or {}
    return {f"inputs.parameters.{p['name']}": True for p in inputs.get("parameters") or ()}


def _exports(template: Template) -> Known:
    known: Known = {}
    for kind in ("parameters", "artifacts"):
        for output in (template.get("outputs") or {}).get(kind) or ():
            name = output.get("globalName")
            if name:
                known[f"workflow.outputs.{kind}.{'*' if is_parameter(name) else name}"] = True
    return known


# --- dag ------------------------------------------------------------------------------------------------------------


def _check_terms(depends: Depends | None, named: Mapping[str, Mapping[str, Any]], where: str) -> None:
    for other, result in depends.terms if depends else ():
        if other not in named:
            raise Invalid(f"{where} dependency '{other}' not defined", "dependency")
        loops = any(named[other].get(key) for key in ("withItems", "withParam", "withSequence"))
        if result in ("AnySucceeded", "AllFailed") and not loops:
            text = f"{where} dependency '{other}' uses an items-based condition such as .AnySucceeded or .AllFailed "
            raise Invalid(text + "but does not contain any items", "depends")


def _check_cycles(name: str, needs: Mapping[str, tuple[str, ...]]) -> None:
    """Depth first, without recursion: a DAG may be as long as it likes."""
    done: set[str] = set()
    for start in needs:
        path: dict[str, None] = {}  # in order
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            title, leave = stack.pop()
            if leave:
                path.popitem()
                done.add(title)
            elif title in path:
                walked = list(path)
                cycle = "->".join([*walked[walked.index(title) :], title])
                raise Invalid(f"templates.{name}.tasks dependency cycle detected: {cycle}", "cycle")
            elif title not in done:
                path[title] = None
                stack.append((title, True))
                stack += [(other, False) for other in needs[title]]


def _check_ancestry(task: Mapping[str, Any], is_above: Callable[[str], bool], where: str) -> None:
    arguments: Mapping[str, Any] = task.get("arguments") or {}
    for kind, field in (("parameter", "value"), ("artifact", "from")):
        for item in arguments.get(f"{kind}s") or ():
            text = str(item.get(field) or "")
            other = text.split(".")[1] if text.startswith("{{tasks.") else ""
            if other and not is_above(other):
                raise Invalid(f"{where} missing dependency '{other}' for {kind} '{item['name']}'", "dependency")


def _check_timeout(template: Template, kind: str) -> None:
    if kind not in LEAVES:
        raise Invalid(f"{TITLES[kind]} template doesn't support timeout field", "deadline")
    if go_text(template["timeout"]).isdigit():
        raise Invalid(f"{template.get('name', '')} has invalid duration format in timeout", "deadline")
