"""The API key: from a file or the environment, never shown."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from data.drafting.errors import SetupError
from data.drafting.settings import EndpointSettings

_MASK = "[key]"


def read_key(settings: EndpointSettings, directory: Path, environment: Mapping[str, str]) -> SecretStr | None:
    """Read the API key from the file or the variable that the settings name; the file wins.

    Returns:
        The key without surrounding white space, or None when neither is named.

    Raises:
        SetupError: When what is named holds no usable key.
    """
    if settings.key_file:
        path = directory / settings.key_file
        try:
            key, source = path.read_text(encoding="ascii").strip(), str(path)
        except (OSError, UnicodeDecodeError) as error:
            msg = f"{path}: cannot be read as a key (endpoint.key_file): {type(error).__name__}"
            raise SetupError(msg) from None  # the cause of a decoding error quotes the content
    elif settings.key_env:
        key, source = environment.get(settings.key_env, "").strip(), f"${settings.key_env}"
    else:
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        msg = f"{source}: holds no key; want one word of printable ASCII characters"
        raise SetupError(msg)
    return SecretStr(key)


def masked(text: str, key: SecretStr | None) -> str:
    """Take the key out of a text that came from elsewhere, such as an endpoint's answer."""
    return text.replace(key.get_secret_value(), _MASK) if key else text
