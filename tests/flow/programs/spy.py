"""A trial that looks for what it must not see: writes all it can read of its surroundings to the file $FOUND."""

import json
import os
from contextlib import suppress
from pathlib import Path

found = [json.dumps(dict(os.environ))]
for folder in Path("/proc").iterdir():
    for name in ("environ", "cmdline"):
        with suppress(OSError):
            found.append((folder / name).read_bytes().decode(errors="replace"))
for root in json.loads(os.environ["ROOTS"]):
    for folder, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):
                found.append(Path(folder, name).read_bytes().decode(errors="replace"))
Path(os.environ["FOUND"]).write_text("\n".join(found))
with Path(os.environ["HPO_METRICS"]).open("a") as metrics:
    metrics.write(json.dumps({"loss": 0.0}) + "\n")
