"""AWS on one machine, for tests: what is submitted to it really runs. See `double.py` for the test's side.

double.py         starts and stops the server; clients, faults, calls
batch_site.py     a job queue and a job definition in one line
server.py         the program: routes requests to our services or to moto
http_server.py    HTTP/1.1 in front of it
calls.py          which service and action a request means; the log; error replies
faults.py         throttling, errors before and after the act, lost replies
processes.py      a process tree that dies as a container does
clock.py          what happens later; limits that run out faster than on AWS
images.py         what an image's name means on this machine
metadata.py       the instance metadata service of every host
batch*.py, ec2*.py, ssm.py, sagemaker*.py, pricing.py    the services
"""
