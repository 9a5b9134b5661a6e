"""Archives on two nodes of Ray, each with processes of its own, of which one ends."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import archives
import pytest
import ray
from ray.cluster_utils import Cluster

pytestmark = pytest.mark.filterwarnings("default")  # Ray warns of its own use of itself

HEALTH = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 2000,
    "health_check_failure_threshold": 3,
}
"""So that the end of a node is seen within seconds."""


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cluster, Any]]:
    """A cluster of two nodes with a core each, and the second one."""
    archives.quieten(monkeypatch)
    small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}
    head = {**small, "include_dashboard": False, "_system_config": HEALTH}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    second = cluster.add_node(**small)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


def test_an_archive_outlives_a_node(tmp_path: Path, two_nodes: tuple[Cluster, Any]) -> None:
    cluster, second = two_nodes
    source, output = tmp_path / "in", tmp_path / "out"
    names = archives.draw(source, 60, side=48)
    killed: list[float] = []

    def kill() -> None:
        while sum(1 for _ in output.rglob("*.png")) < 20:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)
        killed.append(time.monotonic())

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    done = archives.outcomes(source, output, "petrichor")
    killer.join(10)
    assert killed
    assert sorted(one.source for one in done) == sorted(names)
    assert {one.status for one in done} == {"done"}
    archives.locally(source, tmp_path / "local", "petrichor")
    assert archives.files_in(output) == archives.files_in(tmp_path / "local")
    assert not archives.outcomes(source, output, "petrichor")
