"""Grafana's provisioned data source and dashboard."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from tests.support.deployment import Document, mounts, read_yaml
from tests.support.known_metrics import Query, known_metrics, service_metrics

GRID_WIDTH = 24
VARIABLES = {"$__rate_interval": "1m", "$policy_set": ""}
"""What Grafana fills in before Prometheus sees an expression; an empty pattern asks for no value in particular."""


@pytest.fixture
def dashboard(deploy: Path) -> Document:
    """Return the one dashboard."""
    (file,) = (deploy / "grafana" / "dashboards").glob("*.json")
    document = json.loads(file.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.fixture
def panels(dashboard: Document) -> list[Document]:
    """Return its panels, the headings of its rows left out."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def _queries(panels: list[Document]) -> Iterator[tuple[str, Query]]:
    for panel in panels:
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], Query.parse(expression)


def test_panels_have_ids_of_their_own_and_do_not_overlap(dashboard: Document) -> None:
    """Grafana shows each panel once, where the file puts it."""
    panels = dashboard["panels"]
    cells = [
        {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        for grid in (panel["gridPos"] for panel in panels)
    ]

    assert len(panels) == len({panel["id"] for panel in panels})
    assert [] == [(a, b) for a, b in combinations(range(len(cells)), 2) if cells[a] & cells[b]]
    assert all(x < GRID_WIDTH for cell in cells for x, _ in cell)


def test_every_panel_says_what_it_shows(panels: list[Document]) -> None:
    """Titles are unique; each panel has a description, a unit, and queries with references of their own."""
    assert len(panels) == len({panel["title"] for panel in panels})
    assert [] == [panel["title"] for panel in panels if not panel["description"].endswith(".")]
    assert [] == [panel["title"] for panel in panels if not panel["fieldConfig"]["defaults"]["unit"]]
    for panel in panels:
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(references) == len(set(references))


def test_every_panel_reads_what_exists(panels: list[Document]) -> None:
    """Metric, label and value of each query are ones the service, Triton or Prometheus has."""
    known = known_metrics()

    problems = [(title, problem) for title, query in _queries(panels) for problem in query.problems(known)]

    assert [] == problems


def test_every_metric_of_the_service_is_shown(panels: list[Document]) -> None:
    """Nothing is measured that nobody can see: one sample of each metric is on a panel."""
    shown = {name for _, query in _queries(panels) for name, _ in query.selectors}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in service_metrics()}

    assert [] == sorted(family for family in families if not any(name.startswith(family) for name in shown))


def test_everything_asks_the_provisioned_data_source(deploy: Path, dashboard: Document, gpu_host: Document) -> None:
    """The uid in panels, queries and variables is that of the one data source, which is the Prometheus container."""
    folder = deploy / "grafana" / "provisioning" / "datasources"
    (source,) = read_yaml(folder / "prometheus.yaml")["datasources"]
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    users = [*panels, *(t for panel in panels for t in panel["targets"]), *dashboard["templating"]["list"]]

    assert {source["uid"]} == {user["datasource"]["uid"] for user in users}
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert host in gpu_host["services"]
    assert f":{port}/" in " ".join(gpu_host["services"][host]["healthcheck"]["test"])
    scrape_interval = read_yaml(deploy / "prometheus" / "prometheus.yaml")["global"]["scrape_interval"]
    assert scrape_interval == source["jsonData"]["timeInterval"]


def test_grafana_finds_the_dashboard_where_it_is_mounted(deploy: Path, gpu_host: Document) -> None:
    """The provider's folder and the home dashboard are in the mount."""
    grafana = gpu_host["services"]["grafana"]
    (provider,) = read_yaml(deploy / "grafana" / "provisioning" / "dashboards" / "archrouter.yaml")["providers"]
    path = provider["options"]["path"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])

    assert str(home.parent) == path
    assert (deploy / mounts(grafana)[path] / home.name).is_file()
    assert "./grafana/provisioning" == mounts(grafana)["/etc/grafana/provisioning"]
