"""The `hpo` command. `main` is the entry point and the one place where errors become messages and exit codes.

app        the commands and their options
terminal   standard output and error; JSON
places     which study database and object store; which study
validate, check, run (study_file, follow), reading, export, prune, plan, prices, data, infra: what the commands do
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from hpo_tasks.errors import HpoError, InputError

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 ok, 1 failed, 2 the user's input is wrong, 130 interrupted by Ctrl-C.

    Args:
        arguments: without the program's name; None: those of this process.
    """
    # Here, so that importing one module of this package does not build the whole command line.
    from hpo_tasks.cli.app import app  # noqa: PLC0415
    from hpo_tasks.cli.terminal import say  # noqa: PLC0415

    try:
        app(args=None if arguments is None else list(arguments), prog_name="hpo")
    except HpoError as error:
        say(str(error), style="red")
        sys.exit(WRONG_INPUT if isinstance(error, InputError) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if os.environ.get("HPO_DEBUG") == "1":
            raise
        text = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
        say(f"{text} (HPO_DEBUG=1 shows the traceback)", style="red")
        sys.exit(FAILED)
    sys.exit(0)
