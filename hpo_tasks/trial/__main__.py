"""`python -m hpo_tasks.trial <request-uri>`: run one attempt. Exit codes: see `hpo_tasks.trial.runner`."""

import sys

from hpo_tasks.trial.runner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
