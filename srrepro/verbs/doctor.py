"""The verb that looks at where srrepro is: `doctor`. A file of its own, because it must start where others cannot."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from srrepro.data.registry import DataFolder
from srrepro.errors import Failed
from srrepro.jobs.doctor import examine, screen
from srrepro.options import places, results_option, verb


@verb(epilog="Example: srrepro doctor --data /media/sr-data")
@click.option("--json", "as_json", is_flag=True, help="Findings as one JSON array.")
@places
@results_option
def doctor(as_json: bool, folder: DataFolder, results: Path) -> None:
    """What is here and what is lacking: software, compiler, device, weights, data sets; exit 1 if anything is broken.

    The network is not asked.
    """
    findings = examine(folder, results)
    click.echo(json.dumps([asdict(finding) for finding in findings], indent=2) if as_json else screen(findings))
    broken = [f"{finding.about}: {finding.found}" for finding in findings if finding.state == "broken"]
    if broken:
        msg = f"broken: {'; '.join(broken)}"
        raise Failed(msg)
