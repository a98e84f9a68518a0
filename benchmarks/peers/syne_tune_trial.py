"""A trial of Syne Tune: its backend starts this program with the configuration as arguments."""

import argparse

from syne_tune import Reporter
from work import read, result

parser = argparse.ArgumentParser()
parser.add_argument("--index", type=int, required=True)
parser.add_argument("--work", required=True)
arguments, _ = parser.parse_known_args()
Reporter()(loss=result(read(arguments.work), arguments.index))
