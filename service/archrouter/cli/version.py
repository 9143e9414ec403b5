"""``archrouter version``."""

import asyncio

import click

from archrouter import v1
from archrouter.cli.connection import Connection, target_options
from archrouter.cli.console import print_json
from archrouter.cli.exits import service_errors
from archrouter.client import RoutingClient
from archrouter.version import VERSION

EPILOG = """\b
Examples:
  archrouter version
  archrouter version --target 127.0.0.1:50051 --json
"""


@click.command(short_help="Show versions of this program and of a service.", epilog=EPILOG)
@target_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def version(connection: Connection, *, as_json: bool) -> None:
    """Show the version of this program and, with --target, what a service is."""
    info = _server_info(connection) if connection.target else None
    if as_json:
        print_json({"client": VERSION, "server": info})
        return
    click.echo(f"archrouter {VERSION}")
    if info is not None:
        click.echo("".join(f"{name}: {value}\n" for name, value in info.items()), nl=False)


def _server_info(connection: Connection) -> dict[str, object]:
    async def ask() -> v1.GetServerInfoResponse:
        """Call with a client of its own."""
        async with RoutingClient(connection.client_options()) as client:
            return await client.server_info()

    with service_errors(connection.target):
        info = asyncio.run(ask())
    tier = v1.Tier.Name(info.tier).removeprefix("TIER_") if info.tier in v1.Tier.values() else str(info.tier)
    return {
        "version": info.version,
        "tier": tier,
        "model_version": info.model_version,
        "tokenizer_digest": info.tokenizer_digest,
        "prompt_template_version": info.prompt_template_version,
        "max_prompt_token_count": info.max_prompt_token_count,
        "max_messages": info.max_messages,
        "max_batch_size": info.max_batch_size,
        "inline_policies_enabled": info.inline_policies_enabled,
        "default_policy_set": info.default_policy_set,
    }
