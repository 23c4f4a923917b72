"""Prints the table of kinds for docs/sources.md: `python -m tests.contract.outside`."""

from tests.contract.outside.table import rows

print("\n".join(rows()))  # noqa: T201 - what a command says
