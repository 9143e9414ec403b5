"""A workplace of its own, with a recorded endpoint, for every test that runs the program."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from tests.support.drafting_workplace import Workplace
from tests.support.recorded_endpoint import RecordedEndpoint, Recording

HERE = Path(__file__).parent
BUILD = HERE.parents[3] / "build"


def _recordings() -> tuple[Recording, ...]:
    document = yaml.safe_load((HERE / "recordings.yaml").read_text(encoding="utf-8"))
    return tuple(Recording(entry["answer"], tuple(entry["when"]), tuple(entry["says"])) for entry in document)


@pytest.fixture
def new_workplace(tmp_path: Path) -> Iterator[Callable[[], Workplace]]:
    """Make workplaces, each with an endpoint that remembers nothing of the others."""
    with ExitStack() as running:

        def make() -> Workplace:
            folder = tmp_path / f"workplace-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            endpoint = running.enter_context(RecordedEndpoint(_recordings()))
            workplace = Workplace(folder, endpoint, HERE / "topics.toml", HERE / "bookshop.yaml", BUILD)
            workplace.configure()
            return workplace

        yield make


@pytest.fixture
def workplace(new_workplace: Callable[[], Workplace]) -> Workplace:
    """Give one workplace."""
    return new_workplace()
