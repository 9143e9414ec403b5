"""Where settings come from, and what happens to those that nobody can use."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from archrouter.config import Settings
from archrouter.config_sources import SettingsError, load_settings, setting_keys, setting_sources

NO_FLAGS: Mapping[str, Mapping[str, object]] = {}


def _file(directory: Path, text: str) -> Path:
    path = directory / "archrouter.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def _problems(flags: Mapping[str, Mapping[str, object]], file: Path | None, environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load_settings(flags, file, environ)
    return list(raised.value.problems)


def test_defaults_count_where_nothing_is_given() -> None:
    """Without flags, environment and file every value is its default, and says so."""
    assert Settings() == load_settings(NO_FLAGS, None, {})
    assert {"default"} == set(setting_sources(NO_FLAGS, None, {}).values())


def test_flags_stand_above_environment_above_file_above_default(tmp_path: Path) -> None:
    """Each source wins over the next, and each value remembers which one it was."""
    file = _file(tmp_path, "limits:\n  max_messages: 1\n  max_batch_size: 1\n  max_inline_routes: 1\n")
    environ = {"ARCHROUTER_LIMITS_MAX_MESSAGES": "2", "ARCHROUTER_LIMITS_MAX_BATCH_SIZE": "2"}
    flags = {"limits": {"max_messages": "3"}}

    limits = load_settings(flags, file, environ).limits
    sources = setting_sources(flags, file, environ)

    assert (3, 2, 1, 100_000) == (
        limits.max_messages,
        limits.max_batch_size,
        limits.max_inline_routes,
        limits.max_message_characters,
    )
    assert "--limits-max-messages" == sources["limits.max_messages"]
    assert "ARCHROUTER_LIMITS_MAX_BATCH_SIZE" == sources["limits.max_batch_size"]
    assert f"{file}:4" == sources["limits.max_inline_routes"]
    assert "default" == sources["limits.max_message_characters"]


def test_every_key_can_be_set_by_its_environment_name() -> None:
    """The default of each key, written into the environment under its name, is accepted and changes nothing."""
    environ = {key.env: key.default for key in setting_keys()}

    assert Settings() == load_settings(NO_FLAGS, None, environ)


def test_every_key_has_a_description_and_distinct_names() -> None:
    """No two keys share a flag or a name in the environment, and each says what it is for."""
    keys = setting_keys()

    assert len(keys) == len({key.flag for key in keys}) == len({key.env for key in keys})
    assert all(key.field.description for key in keys)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ARCHROUTER_LIMITS_MAX_MESSAGES", "many", "limits.max_messages is 'many', set by"),
        ("ARCHROUTER_LIMITS_MAX_MESSAGES", "0", "it must be a whole number >= 1. Correct it, or remove it to get"),
        ("ARCHROUTER_LIMITS_MAX_MESSAGES", "", "limits.max_messages is '', set by ARCHROUTER_LIMITS_MAX_MESSAGES"),
        ("ARCHROUTER_ROUTING_DEFAULT_MIN_CONFIDENCE", "2", "it must be a number >= 0 and <= 1."),
        ("ARCHROUTER_LOGGING_LEVEL", "loud", "it must be one of debug, info, warning, error."),
        ("ARCHROUTER_EMBEDDED_ENABLED", "perhaps", "it must be true or false."),
    ],
)
def test_bad_value_is_an_error_with_key_value_source_and_remedy(name: str, value: str, problem: str) -> None:
    """One line says which key has which value, who set it, what it may be, and how to get the default."""
    (line,) = _problems(NO_FLAGS, None, {name: value})

    assert problem in line
    assert f"set by {name}" in line


def test_long_value_is_cut_in_an_error() -> None:
    """A problem stays one readable line, however long the value."""
    (line,) = _problems(NO_FLAGS, None, {"ARCHROUTER_LIMITS_MAX_MESSAGES": "x" * 5000})

    assert len(line) < 300


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    """Whoever corrects a configuration does not have to start the service once for each mistake."""
    file = _file(tmp_path, "server:\n  lisen: a\n")

    problems = _problems(
        {"logging": {"level": "loud"}}, file, {"ARCHROUTER_FOO_BAR": "1", "ARCHROUTER_LIMITS_MAX_MESSAGES": "0"}
    )

    assert 4 == len(problems)


def test_unknown_name_in_environment_is_an_error_with_a_suggestion() -> None:
    """A setting with a typo in its name would silently do nothing."""
    (line,) = _problems(NO_FLAGS, None, {"ARCHROUTER_SERVER_LISTN": "x"})

    assert "ARCHROUTER_SERVER_LISTN in the environment is no setting; did you mean ARCHROUTER_SERVER_LISTEN?" == line


@pytest.mark.parametrize(
    "name",
    [
        "ARCHROUTER_SERVICE_HOST",
        "ARCHROUTER_SERVICE_PORT",
        "ARCHROUTER_SERVICE_PORT_GRPC",
        "ARCHROUTER_PORT",
        "ARCHROUTER_PORT_50051_TCP_ADDR",
        "ARCHROUTER_TRITON_PORT",
        "ARCHROUTER_TRITON_PORT_8001_TCP",
        "ARCHROUTER_METRICS_SERVICE_HOST",
        "PATH",
    ],
)
def test_names_that_are_not_ours_are_ignored(name: str) -> None:
    """Kubernetes' own variables for services named archrouter… keep nobody from starting."""
    assert Settings() == load_settings(NO_FLAGS, None, {name: "tcp://10.0.0.1:1"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servr:\n  listen: a\n", ":1: servr: unknown key 'servr'; did you mean 'server'?"),
        ("server:\n  lisen: a\n", ":2: server.lisen: unknown key 'lisen'; did you mean 'listen'?"),
        ("server:\n  zzz: a\n", ":2: server.zzz: unknown key 'zzz'; the keys here are"),
        (
            "server:\n  listen: a:1\n  listen: b:1\n",
            ":3: server.listen: the key 'listen' is already in line 2; remove one of them",
        ),
        ("server: [a]\n", ":1: server: is a list; write a mapping with keys such as 'listen'"),
        ("- server\n", ":1: the document is not a mapping; begin with a section, as in 'server:'"),
        ("server:\n  listen: [a]\n", ":2: server.listen: is a list; it must be text"),
        ("server: {\n", ":1: not valid YAML: "),
        ("server:\n  listen: a\n---\nlimits: {}\n", ":3: a second document begins; write one per file"),
    ],
)
def test_bad_file_is_an_error_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    """Whatever is wrong with the file is named with its line."""
    file = _file(tmp_path, text)

    (line,) = _problems(NO_FLAGS, file, {})

    assert line.startswith(f"{file}{problem}")


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    """A configuration file that is not there is an error rather than a start with defaults."""
    (line,) = _problems(NO_FLAGS, tmp_path / "none.yaml", {})

    assert "none.yaml: cannot be read: No such file or directory" in line


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\n"])
def test_empty_file_and_empty_section_change_nothing(tmp_path: Path, text: str) -> None:
    """A file whose lines are commented out is no mistake."""
    assert Settings() == load_settings(NO_FLAGS, _file(tmp_path, text), {})


def test_sources_of_a_broken_configuration_are_an_error() -> None:
    """Sources are only told of names that exist."""
    with pytest.raises(SettingsError):
        setting_sources(NO_FLAGS, None, {"ARCHROUTER_FOO": "1"})


@pytest.mark.parametrize("key", ["server.listen", "metrics.listen"])
@pytest.mark.parametrize(
    "address", ["9090", "host", "host:", "host:port", "host:65536", "::1:9090", "[::1]", "http://a:1"]
)
def test_an_address_to_listen_on_is_checked_before_anything_starts(key: str, address: str) -> None:
    """A bare port, a port out of range and IPv6 without brackets are told with examples of what is right."""
    section, _, name = key.partition(".")

    (problem,) = _problems({section: {name: address}}, None, {})

    assert f"{key} is {address!r}, set by --{section}-listen; it must be HOST:PORT" in problem
    assert "e.g. 127.0.0.1:9090 or [::1]:9090" in problem


@pytest.mark.parametrize("address", ["[::1]:9090", "127.0.0.1:0", "host.example:65535", ":9090"])
def test_an_address_to_listen_on_may_be_a_name_or_of_either_family(address: str) -> None:
    """IPv6 stands in brackets; no host means every interface."""
    settings = load_settings({"metrics": {"listen": address}, "server": {"listen": address}}, None, {})

    assert (address, address) == (settings.metrics.listen, settings.server.listen)
