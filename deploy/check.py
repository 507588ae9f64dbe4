#!/usr/bin/env python3
"""Checks what is deployed with the tools that deploy/check.requirements.txt names; `make deploy-check` runs it.

Nothing is built, started or applied. systemd-analyze, promtool and terraform are used where the machine has them, and what was left
out is said.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml
from helm_python import chart as helm

DEPLOY = pathlib.Path(__file__).resolve().parent
CHART = DEPLOY / "kubernetes" / "tailwater"
TOOLS = pathlib.Path(sys.executable).parent
# Values that helm must refuse, each with a word of the reason.
REFUSED = [
    ({"sources": [{"name": "s 1", "url": "mysql://x"}]}, "pattern"),
    ({"sorces": []}, "sorces"),
    ({"image": {"repository": "x", "digest": "abc"}}, "pattern"),
    ({"sources": []}, "sources"),
    ({"config": "[[source]]\n", "sources": [{"name": "s1", "url": "mysql://x"}]}, "must not have"),
]
failures = []
left_out = []


def run(what, command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0:
        failures.append(f"{what}:\n{said}")
    print(f"{'ok' if done.returncode == 0 else 'FAILED':7} {what}")
    return said


def where_it_is(program, what, command, **options):
    if shutil.which(program):
        return run(what, command, **options)
    left_out.append(f"{what} ({program} is not on this machine)")
    return ""


def charts(folder):
    """Renders the chart with few and with all values, and checks what comes out."""
    chart = helm.Chart.load(str(CHART))
    full = yaml.safe_load((CHART / "ci" / "full-values.yaml").read_text())
    few = {"sources": [{"name": "s1", "url": "mysql://cdc@db-1:3306"}]}
    for name, values in {"few": few, "full": full}.items():
        report = helm.lint(str(CHART), values=values)
        if report["errors"] or any(message["severity"] > 1 for message in report["messages"]):
            failures.append(f"helm lint, {name} values: {report}")
        chart.validate_schema(values)
        for template, text in chart.render(values=values, name="tw", namespace="data").items():
            if not template.endswith(".yaml") or not text.strip():
                continue
            file = folder / f"{name}-{pathlib.Path(template).name}"
            file.write_text(text)
            said = run(f"manifest {file.name}", [TOOLS / "kubernetes-validate", "--strict", file])
            for kind in sorted(set(re.findall(r"find schema for kind (\w+)", said))):
                left_out.append(f"the schema of {kind}, which Kubernetes does not have itself")
    for values, reason in REFUSED:
        try:
            chart.validate_schema(values)
            chart.render(values=values, name="tw", namespace="data")
            failures.append(f"the chart takes {values}")
        except Exception as error:  # The library has an error type for each step.
            if reason not in str(error):
                failures.append(f"the chart refuses {values} for another reason: {error}")
    print("ok      helm: lint, values.schema.json, what must be refused")


def units():
    folder = DEPLOY / "systemd"
    environment = dict(os.environ, SYSTEMD_UNIT_PATH=f"{folder}:")
    for unit in ("tailwater.service", "tailwater-extract@s1.service", "tailwater-apply@main.service"):
        # Whether the program is there is another machine's matter.
        with tempfile.TemporaryDirectory() as copy:
            shutil.copytree(folder, f"{copy}/units", symlinks=True)
            for file in pathlib.Path(f"{copy}/units").glob("*.service"):
                file.write_text(file.read_text().replace("/usr/local/bin/tailwater", "/bin/true"))
            environment["SYSTEMD_UNIT_PATH"] = f"{copy}/units:"
            where_it_is(
                "systemd-analyze", f"unit {unit}", ["systemd-analyze", "verify", "--man=no", unit], env=environment
            )


def main():
    run("Dockerfile", [TOOLS / "hadolint", DEPLOY / "docker" / "Dockerfile"])
    run("compose", [TOOLS / "docker-compose", "-f", DEPLOY / "compose" / "compose.yaml", "config", "--quiet"])
    for file in sorted(DEPLOY.glob("**/*.tf")):
        run(f"parses: {file.relative_to(DEPLOY)}", [TOOLS / "hcl2tojson", file])
    where_it_is("terraform", "terraform fmt", ["terraform", "fmt", "-check", "-recursive", DEPLOY])
    units()
    with tempfile.TemporaryDirectory() as folder:
        charts(pathlib.Path(folder))
        # The token lies where only the container has it.
        config = pathlib.Path(folder) / "prometheus.yml"
        text = (DEPLOY / "compose" / "prometheus" / "prometheus.yml").read_text()
        text = text.replace("/etc/prometheus/token", str(config))
        config.write_text(text.replace("/etc/prometheus/rules", str(DEPLOY / "prometheus")))
        where_it_is("promtool", "Prometheus' configuration and rules", ["promtool", "check", "config", config])
    for what in sorted(set(left_out)):
        print(f"        not checked: {what}")
    if failures:
        sys.exit("\n\n".join(failures))


main()
