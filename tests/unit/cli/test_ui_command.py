"""``archrouter ui``: what it refuses before anything is started."""

import sys

import pytest
from click.testing import CliRunner

from archrouter.cli import cli
from archrouter.cli.exits import EXIT_USAGE


@pytest.mark.parametrize("address", ["0.0.0.0:50080", "192.168.1.5:80", ":50080", "router.example:80", "50080"])
def test_address_that_others_reach_is_refused(address: str) -> None:
    """The page has no login, so it is only for this machine."""
    result = CliRunner().invoke(cli, ["ui", "--listen", address])

    assert EXIT_USAGE == result.exit_code
    assert "loopback interface; write 127.0.0.1:50080" in " ".join(result.stderr.split())


def test_two_services_are_refused() -> None:
    """One command asks one service."""
    result = CliRunner().invoke(cli, ["ui", "--embedded", "--target", "127.0.0.1:50051"])

    assert EXIT_USAGE == result.exit_code
    assert "choose the service" in result.stderr


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library of the page the command says how to get it."""
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    for name in [name for name in sys.modules if name.startswith("archrouter.ui")]:
        monkeypatch.delitem(sys.modules, name)

    result = CliRunner().invoke(cli, ["ui"])

    assert EXIT_USAGE == result.exit_code
    assert "pip install 'archrouter[ui]'" in result.stderr
