"""`retrain lint`: whether manifests are right, without a platform."""

from __future__ import annotations

import click

from retrain.cli.output import emit


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml", "name", "sarif", "github"]),
    default="table",
    show_default=True,
    help="How to print",
)
@click.pass_context
def lint(context: click.Context, paths: tuple[str, ...], output: str) -> None:
    """Check the manifests in files and directories

    Prints what is wrong with its file, line and column. Exits with 2 if anything is an error, else with 0; warnings
    do not count. `-o name` prints the files that have findings, `-o sarif` and `-o github` what code hosts show beside
    the lines.
    """
    from retrain.app.projects.lint import lint as check  # here, so that `--help` starts without the models
    from retrain.app.projects.lint_formats import github, sarif

    report = check(paths)
    if output == "table":
        for finding in report.findings:
            click.echo(str(finding))
        click.echo(report.summary(), err=True)
    elif output == "name":
        for file in dict.fromkeys(finding.file for finding in report.findings):
            click.echo(file)
    elif output == "sarif":
        emit(sarif(report.findings), "json", name=str, table=click.echo)
    elif output == "github":
        for line in github(report.findings):
            click.echo(line)
    else:
        emit(report.to_json(), output, name=str, table=click.echo)
    context.exit(2 if report.errors else 0)
