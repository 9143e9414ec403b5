"""Damaged bundles are refused by a message that names the file, whatever the damage; what loads is what was written."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.support.engine_bundles import seal, write_engine_bundle

from archrouter.bundles.loader import load_bundle
from archrouter.bundles.manifest import MANIFEST_FILE, BundleError, read_manifest
from archrouter.bundles.tokenizer import HfTokenizer

SEALED = ("tokenizer.json", "chat_template.jinja", "prompt_template.txt", "engine/config.json")
"""Files that the manifest vouches for: their digest is made to fit, or it alone would refuse them."""

BYTE_MUTATIONS, FIELD_MUTATIONS = 24, 32
NONSENSE: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1e-3,
    1e300,
    "",
    "\u0000",
    "sha256:x",
    [],
    [None],
    {},
    {"": []},
    "x" * 5000,
)
FRAGMENTS = (b"", b"\xff\xfe", b"\x00", b"{", b"]", b'"', b"null", b"NaN", b"[" * 3000, b"{{", b"%}", "é☃".encode())


@pytest.fixture
def bundle(checkpoint: Path, tmp_path: Path) -> Path:
    """Write a bundle with every file that the service reads."""
    directory = write_engine_bundle(tmp_path / "bundle", checkpoint)
    reference = {"top_probability_deciles": [0.1 * n for n in range(1, 10)], "no_match_share": 0.2, "mean_entropy": 0.3}
    calibration = {
        "model_version": read_manifest(directory)[1],
        "kind": "isotonic",
        "knots": [{"input": 0.0, "output": 0.1}, {"input": 1.0, "output": 0.9}],
        "sample_count": 300,
        "reference": reference,
    }
    (directory / "calibration.json").write_text(json.dumps(calibration))
    return directory


def mangled(content: bytes, random: Random) -> bytes:
    """Cut, insert, overwrite or repeat somewhere."""
    start = random.randrange(len(content))
    end = min(len(content), start + random.choice((0, 1, 1, 8, 1000)))
    if random.random() < 0.1:
        return content[:start]
    return content[:start] + random.choice((*FRAGMENTS, content[start:end] * 2)) + content[end:]


def places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  # JSON
    """List where a value can be put: each container and key, at any depth, of a list the first few."""
    keys = list(value) if isinstance(value, dict) else list(range(min(len(value), 3)))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def with_nonsense(content: bytes, random: Random) -> bytes:
    """Put a value of another kind or size into a field, or take the field away, or add one."""
    document = json.loads(content)
    where, key = random.choice(list(places(document)))
    action = random.random()
    if action < 0.15:
        del where[key]
    elif action < 0.3 and isinstance(where, dict):
        where["unheard of"] = random.choice(NONSENSE)
    else:
        where[key] = random.choice(NONSENSE)
    return json.dumps(document).encode()


def damages(content: bytes, *, is_json: bool) -> Iterator[bytes]:
    """Give damaged versions of a file, the same ones each time."""
    random = Random(7)  # noqa: S311  # reproducible, no secret
    kinds: list[tuple[int, Callable[[bytes, Random], bytes]]] = [(BYTE_MUTATIONS, mangled)]
    if is_json:
        kinds.append((FIELD_MUTATIONS, with_nonsense))
    for count, damage in kinds:
        for _ in range(count):
            yield damage(content, random)
    yield b""


@pytest.mark.parametrize("name", [MANIFEST_FILE, "calibration.json", *SEALED])
def test_a_damaged_file_is_refused_by_its_name_or_read_as_it_is(
    name: str, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other exception leaves the loader, and a bundle that it accepts works."""
    if name != "tokenizer.json":  # it takes most of the time of a load
        tokenizer = load_bundle(bundle).tokenizer
        monkeypatch.setattr(HfTokenizer, "from_file", lambda _path: tokenizer)
    whole = (bundle / name).read_bytes()
    manifest = (bundle / MANIFEST_FILE).read_bytes()
    refused = 0
    for damaged in damages(whole, is_json=name.endswith(".json")):
        (bundle / MANIFEST_FILE).write_bytes(manifest)
        if name != "calibration.json":  # it is of the manifest as it was
            (bundle / "calibration.json").unlink(missing_ok=True)
        (bundle / name).write_bytes(damaged)
        if name in SEALED:
            seal(bundle, name)
        refusal = refusal_of(bundle)
        assert not refusal or name in refusal, (refusal, damaged[:200])
        refused += bool(refusal)

    assert refused > BYTE_MUTATIONS / 4


def refusal_of(bundle: Path) -> str:
    """Load a bundle and use it; give what the loader says against it, empty for nothing."""
    try:
        load_bundle(bundle).tokenizer.encode_text("what else?")
    except BundleError as error:
        return str(error)
    return ""
