"""Files of credentials are exchanged whole, once they are at rest, or not at all."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.certificates import SecretFolder

from archrouter.app.credential_files import CredentialFiles
from archrouter.observability.metrics import Metrics

CERTIFICATE, KEY = "server.tls_certificate_file", "server.tls_private_key_file"


class Watched:
    """Two files of a Secret, whose content must agree, and what is made of them."""

    def __init__(self, folder: Path) -> None:
        """Mount the first version, and load it."""
        self.secret = SecretFolder(folder, mode=0o440)
        self.secret.write(tls_crt=b"1", tls_key=b"1")
        self.registry = CollectorRegistry()
        self.taken: list[bytes] = []
        names = {CERTIFICATE: str(folder / "tls.crt"), KEY: str(folder / "tls.key")}
        self.files = CredentialFiles("tls", names, self._use, Metrics(self.registry, version="1"))
        self.files.load()

    def _use(self, contents: Mapping[str, bytes]) -> None:
        if contents[CERTIFICATE] != contents[KEY]:
            msg = "the key is another's"
            raise ValueError(msg)
        self.taken.append(contents[KEY])

    def looks(self, count: int) -> list[str]:
        """Look so many times, and give the events that are logged."""
        with capture_logs() as logs:
            for _ in range(count):
                self.files.look()
        return [log["event"] for log in logs]

    def counted(self, result: str) -> float | None:
        """Read the counter."""
        return self.registry.get_sample_value(
            "archrouter_credential_reloads_total", {"source": "tls", "result": result}
        )


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Give two files that have been loaded."""
    return Watched(tmp_path / "secret")


def test_files_that_stay_are_read_once(watched: Watched) -> None:
    """Looking costs a stat."""
    assert [] == watched.looks(3)
    assert [b"1"] == watched.taken


def test_the_exchange_of_a_link_is_seen(watched: Watched) -> None:
    """The update of a mounted Secret changes no file that is named, only where the names lead."""
    watched.secret.write(tls_crt=b"2", tls_key=b"2")

    assert ["credentials_loaded"] == watched.looks(3)
    assert ([b"1", b"2"], 1.0) == (watched.taken, watched.counted("success"))


def test_files_are_left_alone_while_they_are_written(watched: Watched) -> None:
    """A certificate whose key is still to come is no error."""
    folder = watched.secret.folder / "..data"
    first = watched.looks(1)
    (folder / "tls.crt").write_bytes(b"22")
    second = watched.looks(1)
    (folder / "tls.key").write_bytes(b"22")

    assert ([], [], ["credentials_loaded"]) == (first, second, watched.looks(3))
    assert 0.0 == watched.counted("failure")


def test_a_bad_pair_is_reported_once_and_changes_nothing(watched: Watched) -> None:
    """The next good one is taken."""
    watched.secret.write(tls_crt=b"2", tls_key=b"3")
    bad = watched.looks(4)
    kept = list(watched.taken)
    watched.secret.write(tls_crt=b"4", tls_key=b"4")

    assert (["credentials_rejected"], [b"1"]) == (bad, kept)
    assert ["credentials_loaded"] == watched.looks(4)
    assert (b"4", 1.0, 1.0) == (watched.taken[-1], watched.counted("failure"), watched.counted("success"))


def test_a_file_that_goes_away_is_reported_once(watched: Watched) -> None:
    """What was loaded stays, and the file is taken when it is there again."""
    (watched.secret.folder / "tls.key").unlink()
    gone = watched.looks(4)
    (watched.secret.folder / "tls.key").write_bytes(b"1")
    (watched.secret.folder / "tls.key").chmod(0o600)

    assert ["credentials_rejected"] == gone
    assert ["credentials_loaded"] == watched.looks(4)


@pytest.mark.parametrize(
    "path", ["absent", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", "a-token-by-mistake\0", "k" * 5000]
)
def test_what_stands_where_a_path_belongs_is_never_shown(path: str) -> None:
    """A key or a token that was given instead of its file does not end up in the log."""
    files = CredentialFiles("tls", {KEY: path}, lambda _: None, Metrics(CollectorRegistry(), version="1"))

    with pytest.raises(OSError, match=r"server\.tls_private_key_file names a file that cannot be read") as caught:
        files.load()

    assert path not in str(caught.value)
    assert "c2VjcmV0" not in repr(caught.value)


@pytest.mark.parametrize(("mode", "expected"), [(0o644, ["credentials_readable_by_others"]), (0o640, []), (0o600, [])])
def test_a_key_that_others_can_read_is_warned_of(tmp_path: Path, mode: int, expected: list[str]) -> None:
    """A group may read it, as in Kubernetes with fsGroup; the certificate is for everybody."""
    for name in ("key", "certificate"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "key").chmod(mode)
    names = {CERTIFICATE: str(tmp_path / "certificate"), KEY: str(tmp_path / "key")}
    files = CredentialFiles("tls", names, lambda _: None, Metrics(CollectorRegistry(), version="1"))

    with capture_logs() as logs:
        files.load()

    assert expected == [log["event"] for log in logs]
