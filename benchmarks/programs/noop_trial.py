"""A whole trial as a program of its own: takes a value and prints it. For the bare processes that we compare with."""

import sys

print(float(sys.argv[1]))
