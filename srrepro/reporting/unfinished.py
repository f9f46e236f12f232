"""From the files of carried runs to `unfinished.csv`: how far each is, and its curve so far."""

from pathlib import Path

import pandas as pd

from srrepro.training import carry, checkpoint

COLUMNS = ["run", "backprops", "seconds", "lr", "loss", "machines"]


def unfinished(folder: Path) -> pd.DataFrame:
    """A row for every log point of every carried run, in the order of the runs' names, and one for where it stands.

    The last row of a run has its seconds and machines, and no measurement, unless it stopped at a log point.

    Raises
    ------
    InputError : a file is damaged, or is no checkpoint of the run that it is named after.
    """
    rows = []
    for path in sorted(folder.glob("[!.]*.safetensors")):  # what begins with a dot is not whole yet
        copy = carry.read(path, path.stem)
        assert copy is not None, "the file was there"
        state = copy.values["state"]
        if "log" not in state or not isinstance(state.get("seconds"), int | float):
            raise checkpoint.damaged(path)
        machines = " + ".join(dict.fromkeys(str(stretch.made_with.get("machine")) for stretch in copy.stretches))
        end = {"backprops": copy.backprops, "seconds": state["seconds"], "machines": machines}
        log = [row for row in state["log"] if row["backprops"] < copy.backprops]
        last = state["log"][-1] if len(log) < len(state["log"]) else {}
        rows += [{"run": copy.path.stem} | row for row in [*log, last | end]]
    frame = pd.DataFrame(rows, columns=None if rows else COLUMNS)
    first = [name for name in COLUMNS if name in frame]
    others = [name for name in frame if name not in {*COLUMNS, "step", "samples_per_s"}]
    return frame[[*first[:-1], *others, first[-1]]] if rows else frame
