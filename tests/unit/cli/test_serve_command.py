"""The shell of ``archrouter serve``: its options and what is wrong with them."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from archrouter.cli import cli
from archrouter.cli.serve import _hints
from archrouter.config import PoliciesSettings, ServerSettings, Settings
from archrouter.config_sources import setting_keys


def test_help_lists_every_setting_with_default_and_environment_name() -> None:
    """Each setting is a flag whose help has its meaning, its name in the environment and its default."""
    text = " ".join(CliRunner().invoke(cli, ["serve", "--help"], terminal_width=1000).stdout.split())

    for key in setting_keys():
        assert key.flag in text
        assert f"{key.field.description} [{key.env}; default: {key.default or 'empty'}]" in text


@pytest.mark.parametrize("flag", ["--embedded", "--policies", "--no-embedded", "--config", "--ready-file"])
def test_help_lists_shorthands(flag: str) -> None:
    """The settings that everyone needs have short names."""
    assert flag in CliRunner().invoke(cli, ["serve", "--help"], terminal_width=200).stdout.split()


def test_bad_settings_are_usage_errors_one_line_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Flags, environment and file are checked together; every problem is a line, and nothing starts."""
    monkeypatch.setenv("ARCHROUTER_LOGGING_LEVEL", "loud")
    file = tmp_path / "archrouter.yaml"
    file.write_text("server:\n  lisen: a\n", encoding="utf-8")

    result = CliRunner().invoke(cli, ["serve", "--config", str(file), "--limits-max-messages", "0"])

    assert 2 == result.exit_code
    _, first, second, third = result.stderr.splitlines()
    assert f"{file}:2: server.lisen: unknown key 'lisen'; did you mean 'listen'?" in first
    assert "limits.max_messages is '0', set by --limits-max-messages; it must be a whole number >= 1." in second
    assert "logging.level is 'loud', set by ARCHROUTER_LOGGING_LEVEL" in third


def test_unknown_flag_is_a_usage_error_with_a_suggestion() -> None:
    """A flag with a typo is refused."""
    result = CliRunner().invoke(cli, ["serve", "--server-lisen", "x"])

    assert 2 == result.exit_code
    assert "--server-listen" in result.stderr


@pytest.mark.parametrize(
    ("listen", "default", "texts"),
    [
        ("0.0.0.0:7000", "support", ['route --target 127.0.0.1:7000 "', "127.0.0.1:7000 archrouter.v1.RoutingService"]),
        ("router.example:7000", "", ["--policy-set POLICY_SET", '"policySet": "policySets/POLICY_SET"']),
    ],
)
def test_hints_name_an_address_and_a_policy_set_that_work(listen: str, default: str, texts: list[str]) -> None:
    """The commands can be pasted: no wildcard address, and a policy set where the service has no default."""
    settings = Settings(server=ServerSettings(listen=listen), policies=PoliciesSettings(default=default))

    hints = _hints(settings)

    assert [] == [text for text in texts if text not in hints]
