"""``archrouter reload``."""

import asyncio

import click
from google.protobuf.json_format import MessageToDict
from rich.table import Table

from archrouter import v1
from archrouter.cli.connection import DEFAULT_TARGET, Connection, target_options
from archrouter.cli.console import note, print_json, print_table
from archrouter.cli.exits import EXIT_FAILED, service_errors
from archrouter.client import open_channel
from archrouter.client.errors import rpc_errors_translated

EPILOG = """\b
Examples:
  archrouter reload
  archrouter reload --target 127.0.0.1:50051 --json
  archrouter reload --target router:50051 --ca-file ca.pem --token-file admin-token
"""


@click.command(short_help="Have a service read its policy files again.", epilog=EPILOG)
@target_options(default=DEFAULT_TARGET, timeout_s=60.0)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as one JSON document.")
def reload(connection: Connection, *, as_json: bool) -> None:
    """Have a running service read its policy files now, and show what serves afterwards.

    Takes the scope admin, which callers on the service's own machine have where it asks nobody for credentials. Exit
    code 1 when a file was rejected; its last good revision then keeps serving.
    """
    with service_errors(connection.target):
        response = asyncio.run(_reload(connection))
    if as_json:
        print_json(MessageToDict(response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))
    else:
        _print(response)
    if response.rejected_sources:
        click.get_current_context().exit(EXIT_FAILED)


async def _reload(connection: Connection) -> v1.ReloadPolicySetsResponse:
    options = connection.client_options()
    async with open_channel(options) as channel:
        stub: v1.PolicyServiceAsyncStub = v1.PolicyServiceStub(channel)
        with rpc_errors_translated():
            return await stub.ReloadPolicySets(
                v1.ReloadPolicySetsRequest(), timeout=options.timeout_s, metadata=options.metadata
            )


def _print(response: v1.ReloadPolicySetsResponse) -> None:
    table = Table("policy set", "revision", "")
    for one in response.policy_sets:
        table.add_row(one.name, one.revision, "changed" if one.changed else "as before")
    print_table(table)
    for source in response.rejected_sources:
        for finding in source.findings:
            place = f"{source.source}:{finding.line}:{finding.column}" if finding.line else source.source
            subject = f"{finding.field_path}: " if finding.field_path else ""
            click.secho(f"{place}: rejected: {subject}{finding.message}", fg="red")
    changed_count = sum(one.changed for one in response.policy_sets)
    note(
        f"{len(response.policy_sets)} policy sets serve, {changed_count} changed; "
        f"{len(response.rejected_sources)} sources were rejected"
    )
