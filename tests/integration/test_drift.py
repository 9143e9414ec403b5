"""What the committed model says of its calibration is what live decisions are held against."""

import asyncio
import json
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.support.service_runs import service_in_process

from archrouter.config import MetricsSettings, PoliciesSettings, ServerSettings, Settings, TritonSettings


def samples(port: int) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Read the metrics of a process by name."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:  # loopback
        families = list(text_string_to_metric_families(page.read().decode()))
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def test_a_decision_is_counted_against_the_models_own_reference(
    triton_endpoint: str, root: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    """With the model as it is committed the series that the alert rules read are there from the first decision."""
    router = json.loads((root / "model_repository" / "compact_router" / "1" / "router.json").read_text())
    reference = router["calibration_reference"]
    settings = Settings(
        server=ServerSettings(listen="127.0.0.1:0", drain_delay_s=0.0),
        policies=PoliciesSettings(directory=str(root / "examples" / "policies"), default="llm-gateway"),
        triton=TritonSettings(endpoint=triton_endpoint),
        metrics=MetricsSettings(listen=f"127.0.0.1:{unused_tcp_port}"),
    )
    async with service_in_process(settings, tmp_path / "run") as service:
        await service.select_route()
        found = await asyncio.to_thread(samples, unused_tcp_port)

    assert [({"tier": "compact"}, reference["no_match_share"])] == found["archrouter_calibration_no_match_ratio"]
    assert [({"tier": "compact"}, reference["mean_entropy"])] == found["archrouter_calibration_entropy_ratio"]
    ((_, leading),) = [one for one in found["archrouter_decision_top_probability_ratio_sum"] if one[1]]
    tenth = 1 + sum(bound <= leading for bound in reference["top_probability_deciles"])
    counted = {labels["decile"] for labels, count in found["archrouter_decision_reference_decile_total"] if count}
    assert {str(tenth)} == counted
