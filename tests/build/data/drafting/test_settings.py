"""The settings file and the API key."""

from pathlib import Path

import pytest
from data.drafting.endpoint import masked, read_key
from data.drafting.errors import SetupError
from data.drafting.settings import EndpointSettings, Role, Settings, read_settings, with_budget
from pydantic import SecretStr

BUILD = Path(__file__).parents[4] / "build"
EXAMPLE = BUILD / "data" / "drafting" / "example.toml"


def settings_with(tmp_path: Path, old: str, new: str) -> Path:
    """Write the example settings with one text replaced."""
    text = EXAMPLE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "settings.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_example_settings_are_valid() -> None:
    """The committed example is what people start from, so it loads and names a model for every role."""
    settings = read_settings(EXAMPLE)

    assert {"writer", "reader"} == {settings.roles.of(role).model for role in Role}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("timeout_s = 120", "timeout = 120", "endpoint.timeout: Extra inputs are not permitted"),
        ("timeout_s = 120", "timeout_s = 0", "endpoint.timeout_s: Input should be greater than 0"),
        ("timeout_s = 120", 'timeout_s = "120"', "endpoint.timeout_s: Input should be a valid number"),
        ("min_user_turns = 1", "min_user_turns = 7", "min_user_turns 7 exceeds max_user_turns 6"),
        ("temperature = 0.9", "parameters = {stream = true}", "parameters must not set stream; the pipeline does"),
        ('setting = "drafted"', 'setting = "Drafted 1"', "output.setting: String should match pattern"),
        ("[endpoint]", "[endpoint", "cannot be read as TOML"),
    ],
)
def test_wrong_settings_are_named_with_key_and_reason(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """Nothing wrong passes for a default, and the message says where it is."""
    path = settings_with(tmp_path, old, new)

    with pytest.raises(SetupError) as raised:
        read_settings(path)

    assert problem in str(raised.value)
    assert str(path) in str(raised.value)


def test_missing_policy_role_is_an_error_only_when_it_is_needed(tmp_path: Path) -> None:
    """A team with its own policies needs no model that writes some."""
    settings = read_settings(settings_with(tmp_path, '[roles.policy_writer]\nmodel = "writer"\ntemperature = 0.9', ""))

    assert "writer" == settings.roles.of(Role.DIALOGUE_WRITER).model
    with pytest.raises(SetupError, match=r"no \[roles.policy_writer\]; add it, or start from a policy file"):
        settings.roles.of(Role.POLICY_WRITER)


def test_command_line_limits_replace_those_of_the_file() -> None:
    """Only what is given is replaced."""
    settings = with_budget(read_settings(EXAMPLE), calls=0, cost=None)

    assert (0, None) == (settings.budget.calls, settings.budget.cost)
    assert 200 == settings.budget.retries


def endpoint(key_file: str = "", key_env: str = "") -> EndpointSettings:
    """Make endpoint settings."""
    return EndpointSettings(base_url="http://127.0.0.1/v1", key_file=key_file, key_env=key_env)


def test_key_comes_from_the_file_before_the_environment(tmp_path: Path) -> None:
    """A file is relative to the settings and may end with a line feed."""
    (tmp_path / "key").write_text("from-file\n", encoding="ascii")
    environment = {"KEY": "from-environment"}

    from_file = read_key(endpoint(key_file="key", key_env="KEY"), tmp_path, environment)
    from_environment = read_key(endpoint(key_env="KEY"), tmp_path, environment)

    assert SecretStr("from-file") == from_file
    assert SecretStr("from-environment") == from_environment
    assert read_key(endpoint(), tmp_path, environment) is None


@pytest.mark.parametrize("content", [b"", b"two words", b"line\nline", b"\xc3\xa9-secret"])
def test_unusable_key_is_refused_without_being_shown(tmp_path: Path, content: bytes) -> None:
    """A key that cannot be a header is an error whose text does not quote it."""
    (tmp_path / "key").write_bytes(content)

    with pytest.raises(SetupError) as raised:
        read_key(endpoint(key_file="key"), tmp_path, {})

    assert str(tmp_path / "key") in str(raised.value)
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_missing_key_variable_is_an_error(tmp_path: Path) -> None:
    """An empty variable is not taken for an endpoint without keys."""
    with pytest.raises(SetupError, match=r"\$KEY: holds no key"):
        read_key(endpoint(key_env="KEY"), tmp_path, {})


def test_masked_takes_every_copy_of_the_key_out() -> None:
    """What the endpoint sends back may quote the key anywhere."""
    assert "[key] and [key]" == masked("abc and abc", SecretStr("abc"))
    assert "abc" == masked("abc", None)


def test_settings_do_not_show_keys() -> None:
    """Settings hold the name of the file, never the key, so they can be printed."""
    assert {"key_file", "key_env"} == {name for name in EndpointSettings.model_fields if "key" in name}
    assert set(Settings.model_fields) == {"endpoint", "roles", "amounts", "attempts", "budget", "output"}
