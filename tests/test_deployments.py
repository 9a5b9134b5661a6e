"""The manifests in deploy/ are valid, and the commands in them are those of this derain."""

import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")

import kubernetes_validate
import typer.main
import yaml

from derain.cli import make_app

FOLDER = Path(__file__).parents[1] / "deploy/kubernetes"

RAY_JOB = {
    "entrypoint",
    "shutdownAfterJobFinishes",
    "ttlSecondsAfterFinished",
    "backoffLimit",
    "rayClusterSpec",
}
"""Fields of a RayJob that the manifest may have; its own schema comes with the KubeRay operator."""


def manifests() -> list[Any]:
    """Return an object of Kubernetes for each test, named by file and kind."""
    found: list[Any] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for held in yaml.safe_load_all(path.read_text()):
            found.append(pytest.param(held, id=f"{path.stem}-{held['kind']}"))
    return found


def pods(held: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the templates of the pods that an object starts."""
    spec = held["spec"]
    if held["kind"] == "Job":
        return [spec["template"]]
    if held["kind"] == "RayJob":
        cluster = spec["rayClusterSpec"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        return [group["template"] for group in groups]
    return []


def check(held: dict[str, Any]) -> None:
    """Check an object against the schema of the newest Kubernetes.

    Raises:
        kubernetes_validate.ValidationError: If it does not fit.
    """
    kubernetes_validate.validate(held, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("held", manifests())
def test_manifests_fit_their_schemas(held: dict[str, Any]) -> None:
    if held["kind"] == "RayJob":
        assert set(held["spec"]) <= RAY_JOB
        for group in held["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
            assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    else:
        check(held)
    for template in pods(held):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
        check(pod | {"spec": {"restartPolicy": "Never"} | template["spec"]})


@pytest.mark.parametrize("held", manifests())
def test_pods_have_no_rights_and_bounded_memory(held: dict[str, Any]) -> None:
    for template in pods(held):
        assert template["spec"]["securityContext"]["runAsNonRoot"]
        for container in template["spec"]["containers"]:
            assert "memory" in container["resources"]["limits"]


def commands(held: dict[str, Any]) -> list[list[str]]:
    """Return the command lines of derain in an object."""
    if held["kind"] == "RayJob":
        return [shlex.split(held["spec"]["entrypoint"])[1:]]
    found: list[list[str]] = []
    for template in pods(held):
        for container in template["spec"]["containers"]:
            line = container["command"] + container["args"]
            found.append(line[line.index("derain") + 1 :])
    return found


@pytest.mark.parametrize("held", manifests())
def test_commands_are_derains(held: dict[str, Any]) -> None:
    group: Any = typer.main.get_command(make_app())
    for verb, *arguments in commands(held):
        command = group.commands[verb]
        filled = [argument.replace("$(JOB_COMPLETION_INDEX)", "0") for argument in arguments]
        context = command.make_context(verb, filled, resilient_parsing=False)
        assert not context.args


def test_there_is_a_part_for_each_pod() -> None:
    (job,) = yaml.safe_load_all((FOLDER / "pictures.yaml").read_text())
    assert job["spec"]["completions"] == 8
    ((*_, part),) = commands(job)
    assert part == "$(JOB_COMPLETION_INDEX)/8"
