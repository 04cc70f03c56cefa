"""The page of many machines: its YAML is YAML of the right kinds, its scripts and commands are valid."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
import typer.main
import yaml

from soloist.cli.app import app


@pytest.fixture(scope="module")
def blocks(repository):
    """Blocks of the page: language and text."""
    page = (repository / "docs" / "scale.md").read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def documents(blocks):
    """Documents of the page in YAML, by kind; one without is Ray's own launcher's."""
    found = [yaml.safe_load(text) for language, text in blocks if language == "yaml"]
    return {document.get("kind", "launcher"): document for document in found}


def check_pod(pod, *, gpu):
    """Hold what a pod of Soloist needs: its image, limits, and volumes that are there for each mount."""
    (container,) = pod["containers"]
    assert container["image"] == ("soloist:cuda" if gpu else "soloist")
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
    claims = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"models": "/models", "data": "/data"}
    assert claims.keys() == mounts.keys()
    return container


def test_a_ray_job_has_a_head_that_computes_nothing_and_workers_with_a_gpu(documents):
    job = documents["RayJob"]
    assert job["apiVersion"] == "ray.io/v1"
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    check_pod(cluster["headGroupSpec"]["template"]["spec"], gpu=True)
    (group,) = cluster["workerGroupSpecs"]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    worker = check_pod(group["template"]["spec"], gpu=True)
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_an_indexed_job_and_a_launcher_fit_together(documents):
    job = documents["Job"]
    assert (job["apiVersion"], job["spec"]["completionMode"]) == ("batch/v1", "Indexed")
    pod = job["spec"]["template"]["spec"]
    assert (pod["restartPolicy"], pod["securityContext"]["runAsUser"]) == ("Never", 1000)
    assert "$JOB_COMPLETION_INDEX" in check_pod(pod, gpu=False)["args"][0]
    launcher = documents["launcher"]
    assert launcher["head_node_type"] in launcher["available_node_types"]
    worker = launcher["available_node_types"]["worker"]
    assert worker["min_workers"] <= worker["max_workers"] == launcher["max_workers"]
    assert set(documents) == {"RayJob", "Job", "launcher"}


def test_scripts_are_valid(blocks):
    scripts = [text for language, text in blocks if language in ("sh", "bash")]
    assert len(scripts) == 5
    for script in scripts:
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_each_command_has_options_that_exist(blocks):
    program = typer.main.get_command(app)
    text = "\n".join(text.replace("\\\n", " ") for _, text in blocks)
    lines = re.findall(r"(?<![\w'/-])soloist (?:separate|report) [^\n#']*", text)
    assert len(lines) >= 8
    for line in lines:
        _, name, *rest = shlex.split(line)
        options = {option for parameter in program.commands[name].params for option in parameter.opts}
        assert [word for word in rest if word.startswith("-") and word not in options] == []


def test_the_image_is_for_two_variants_and_no_root(repository):
    lines = (repository / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["1000:1000"]
    assert 'VOLUME ["/models"]' in lines
    assert any(line.startswith("ENV ") and "SOLOIST_HOME=/models" in line for line in lines)
    assert "ARG VARIANT=cpu" in lines
    copied = [word for line in lines if line.startswith("COPY pyproject") for word in line.split()[1:-1]]
    shown = (repository / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in (*copied, "src"):
        assert (repository / name).exists()
        assert f"!{name}" in shown
