"""How many files of the edge one call walks through."""

import sys
from pathlib import Path
from types import FrameType

from tests.support.rpc_service import RpcService, user_says

import archrouter.rpc

PACKAGE = Path(archrouter.rpc.__file__).parents[1]


async def test_decision_enters_four_files_of_the_edge(service: RpcService) -> None:
    """A call runs through pipeline, admission, servicer and one conversion module, and counts and logs in no other."""
    request = user_says("a refund")
    request.policy_set = "policySets/support"
    entered: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            entered.add(path.relative_to(PACKAGE).as_posix())

    sys.setprofile(note)
    try:
        await service.routing.SelectRoute(request)
    finally:
        sys.setprofile(None)

    edge = {path for path in entered if path.startswith(("rpc/", "observability/", "config"))}
    assert {"rpc/pipeline.py", "rpc/admission.py", "rpc/routing_servicer.py", "rpc/convert/routing.py"} == edge
