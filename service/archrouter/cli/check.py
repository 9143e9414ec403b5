"""``archrouter check``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from archrouter.cli.console import note, print_json
from archrouter.cli.exits import EXIT_FAILED
from archrouter.cli.policy_paths import (
    EXISTING_PATHS,
    policy_paths,
    read_policy_sets,
    suite_paths,
)
from archrouter.domain.findings import Finding, Severity, error_at, quoted
from archrouter.domain.policy_lint import lint_policy_set
from archrouter.domain.suite import check_suite_routes
from archrouter.policy_files.directory import read_policy_file, read_suite_file
from archrouter.strict_yaml.document import LocatedFinding

EPILOG = """\b
Examples:
  archrouter check examples/policies
  archrouter check --strict --json policies/support.yaml
"""


@click.command(short_help="Check policy files and policy suites.", epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=EXISTING_PATHS, metavar="DIR|FILE...")
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(paths: Sequence[Path], *, strict: bool, as_json: bool) -> None:
    """Check policy files and policy suites: their rules, and what will confuse any router.

    Nothing is started or called. Exit code 1 when there is an error, with --strict also when there is a warning.
    """
    policies, suites = policy_paths(paths), suite_paths(paths)
    if not policies and not suites:
        msg = f"no policy file and no suite in {', '.join(map(str, paths))}"
        raise click.UsageError(msg)
    findings = [*_policy_findings(policies), *(finding for path in suites for finding in _suite_findings(path))]
    error_count = sum(finding.is_error for finding in findings)
    file_count, warning_count = len(policies) + len(suites), len(findings) - error_count
    if as_json:
        print_json(
            {
                "file_count": file_count,
                "error_count": error_count,
                "warning_count": warning_count,
                "findings": [_record(finding) for finding in findings],
            }
        )
    else:
        for finding in findings:
            click.secho(str(finding), fg="red" if finding.is_error else "yellow")
        note(f"{file_count} files, {error_count} errors, {warning_count} warnings")
    if error_count or (strict and warning_count):
        click.get_current_context().exit(EXIT_FAILED)


def _policy_findings(paths: Sequence[Path]) -> Iterator[LocatedFinding]:
    # A folder is one namespace, as it is for the service: of two files with the same policy set only one can serve.
    first_with: dict[tuple[Path, str], Path] = {}
    for path in paths:
        document = read_policy_file(path)
        findings = document.findings
        if document.content is not None:
            policy_set = document.content
            found = list(lint_policy_set(policy_set))
            first = first_with.setdefault((path.parent.resolve(), policy_set.id), path)
            if first is not path:
                text = f"{quoted(policy_set.id)} is already the policy set of {first}; give this one another name"
                found.insert(0, error_at("policy_set", text))
            findings = (*findings, *document.places.locate(found))
        yield from (LocatedFinding(path, finding) for finding in findings)


def _suite_findings(path: Path) -> Iterator[LocatedFinding]:
    document = read_suite_file(path)
    findings = document.findings
    if document.content is not None:
        policy_set = read_policy_sets(path.parent).get(document.content.policy_set_id)
        if policy_set is None:
            text = f"no policy file beside the suite has the policy set {quoted(document.content.policy_set_id)}"
            missing = Finding(Severity.WARNING, "policy_set_id", f"{text}; its routes were not compared")
            found: tuple[Finding, ...] = (missing,)
        else:
            found = check_suite_routes(document.content, policy_set)
        findings = (*findings, *document.places.locate(found))
    yield from (LocatedFinding(path, finding) for finding in findings)


def _record(located: LocatedFinding) -> dict[str, object]:
    finding = located.finding
    return {
        "file": str(located.path),
        "line": finding.line,
        "column": finding.column,
        "severity": finding.severity.value,
        "path": finding.field_path,
        "message": finding.message,
    }
