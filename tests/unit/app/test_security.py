"""How the settings become what knows the callers, and which settings are refused."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.certificates import Authority, Issuer

from archrouter.app.security import Security, build_security
from archrouter.config import AuthSettings, ServerSettings, Settings
from archrouter.observability.metrics import Metrics

AUTHORITY = Authority()
CALLERS = f"{'0' * 64} gateway route\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Write everything that a server can be secured by, and give the paths."""
    pair = AUTHORITY.server()
    contents = {
        "certificate": pair.chain,
        "key": pair.key,
        "authority": AUTHORITY.pem,
        "callers": CALLERS.encode(),
        "jwks": Issuer().key_set,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return {name: str(tmp_path / name) for name in contents}


async def built(*, listen: str = "127.0.0.1:0", auth: AuthSettings | None = None, **tls: str) -> Security:
    """Build what the settings ask for."""
    settings = Settings(
        server=ServerSettings(listen=listen, **{f"tls_{name}": path for name, path in tls.items()}),
        auth=auth or AuthSettings(),
    )
    return await build_security(settings, Metrics(CollectorRegistry(), version="1"))


@pytest.mark.parametrize("listen", ["0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:50051", "no-such-host.invalid:1"])
async def test_an_open_server_that_others_reach_is_refused(listen: str) -> None:
    """The error names the address, and each way out."""
    with pytest.raises(ValueError, match=r"server\.listen is .*auth\.callers_file.*auth\.allow_unauthenticated"):
        await built(listen=listen)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.8.0.1:0", "[::1]:0", "localhost:0"])
async def test_an_open_server_for_this_machine_needs_no_word(listen: str) -> None:
    """Nobody else reaches it."""
    security = await built(listen=listen)

    assert (None, None, (), None) == (security.authenticator, security.tls, security.files, security.key_set)


async def test_an_open_server_that_others_reach_can_be_allowed_by_name() -> None:
    """Whoever says so has it."""
    assert (await built(listen=":0", auth=AuthSettings(allow_unauthenticated=True))).authenticator is None


async def test_tokens_in_plaintext_are_warned_of(files: dict[str, str]) -> None:
    """A sidecar may encrypt, so it is no error; with TLS there is nothing to say."""
    auth = AuthSettings(callers_file=files["callers"])
    with capture_logs() as logs:
        await built(listen=":0", auth=auth)
        await built(listen=":0", auth=auth, certificate_file=files["certificate"], private_key_file=files["key"])

    assert ["tokens_travel_in_plaintext"] == [log["event"] for log in logs]


async def test_half_configured_tls_is_refused(files: dict[str, str]) -> None:
    """A certificate without its key is an error that names both settings, not a server without TLS."""
    with pytest.raises(ValueError, match=r"server\.tls_certificate_file and server\.tls_private_key_file"):
        await built(certificate_file=files["certificate"])
    with pytest.raises(ValueError, match=r"server\.tls_certificate_file and server\.tls_private_key_file"):
        await built(private_key_file=files["key"])


async def test_a_client_authority_without_tls_is_refused(files: dict[str, str]) -> None:
    """There would be no certificates to check."""
    with pytest.raises(ValueError, match=r"tls_client_ca_file is set, but the server has no TLS"):
        await built(client_ca_file=files["authority"])


async def test_everything_together(files: dict[str, str]) -> None:
    """Certificates, callers and a key set are read, and watched from then on."""
    auth = AuthSettings(
        callers_file=files["callers"], jwt_jwks=files["jwks"], jwt_issuer="https://login.example", jwt_audience="a"
    )
    security = await built(
        listen=":0",
        auth=auth,
        certificate_file=files["certificate"],
        private_key_file=files["key"],
        client_ca_file=files["authority"],
    )

    assert security.authenticator is not None
    assert security.tls is not None
    assert 3 == len(security.files)


@pytest.mark.parametrize(
    ("file", "problem"),
    [("callers", "callers file, line 1"), ("jwks", "JSON Web Key Set"), ("certificate", "tls_certificate_file")],
)
async def test_a_file_that_cannot_be_used_ends_the_start(files: dict[str, str], file: str, problem: str) -> None:
    """At the start there is nothing good to keep; the error says which file, and quotes nothing of it."""
    Path(files[file]).write_bytes(b"sEcReT nonsense\xff" if file == "jwks" else b"sEcReT nonsense")
    auth = AuthSettings(callers_file=files["callers"], jwt_jwks=files["jwks"], jwt_issuer="i", jwt_audience="a")

    with pytest.raises(ValueError, match=problem) as caught:
        await built(auth=auth, certificate_file=files["certificate"], private_key_file=files["key"])

    assert "sEcReT" not in str(caught.value)


async def test_a_callers_file_that_is_no_text_is_refused(files: dict[str, str]) -> None:
    """It must be UTF-8."""
    Path(files["callers"]).write_bytes(b"\xff")

    with pytest.raises(ValueError, match="not UTF-8"):
        await built(auth=AuthSettings(callers_file=files["callers"]))


@pytest.mark.parametrize(
    ("url", "problem"),
    [("http://login.example/keys", "without https"), ("https://me:sEcReT@login.example/keys", "user in it")],
)
async def test_a_key_set_that_others_could_exchange_is_refused(url: str, problem: str) -> None:
    """Nor may the URL hold a password, since logs show URLs."""
    with pytest.raises(ValueError, match=problem) as caught:
        await built(auth=AuthSettings(jwt_jwks=url, jwt_issuer="i", jwt_audience="a"))

    assert "sEcReT" not in str(caught.value)
