"""The results of sensors' test cases as JUnit XML, which every CI shows.

Source: https://github.com/testmoapp/junitxml
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from retrain.app.sensing.testing import Suite

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may hold, not even escaped; a sensor's data may."""


def write_junit(suites: Sequence[Suite], file: Path) -> None:
    """Write one `testsuite` for each file of cases."""
    cases = [case for suite in suites for case in suite.results]
    root = ET.Element(
        "testsuites", {"name": "retrain sensors", **_counts(len(cases), sum(bool(c.wrong) for c in cases))}
    )
    for suite in suites:
        failed = sum(bool(case.wrong) for case in suite.results)
        element = ET.SubElement(root, "testsuite", {"name": _clean(suite.file), **_counts(len(suite.results), failed)})
        for case in suite.results:
            one = ET.SubElement(
                element, "testcase", name=_clean(case.name), classname=_clean(suite.sensor), time=f"{case.took_s:.6f}"
            )
            if case.wrong:
                text = _clean("\n".join(case.wrong))
                ET.SubElement(one, "failure", message=_clean(case.wrong[0])).text = text
    ET.indent(root)
    file.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _counts(tests: int, failures: int) -> dict[str, str]:
    return {"tests": str(tests), "failures": str(failures), "errors": "0", "skipped": "0"}


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
