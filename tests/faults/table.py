"""Prints the table of tests/faults at the end of a run, from whatever worker a row has come."""

from __future__ import annotations

import pytest

ROW = "fault row"
HEAD = ("| kind | faults | sent | received | lost | doubled |", "|---|---|---|---|---|---|")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (report for way in ("passed", "failed") for report in terminalreporter.getreports(way))
    rows = sorted(str(value) for report in reports for name, value in report.user_properties if name == ROW)
    if rows:
        terminalreporter.section("faults of the network and of the platform")
        for line in (*HEAD, *rows):
            terminalreporter.write_line(line)
