# A base for the images of trials: the runner and what it needs, nothing of Airflow, Optuna or the search.
# Add your program and its libraries on top; the runner starts them (docs/runner-contract.md).
FROM python:3.11.14-slim-bookworm
RUN useradd --uid 50000 --gid 0 --create-home trial
COPY docker/trial-requirements.lock /build/
RUN pip install --no-cache-dir --no-deps --require-hashes -r /build/trial-requirements.lock
COPY hpo_tasks/__init__.py hpo_tasks/errors.py /opt/runner/hpo_tasks/
COPY hpo_tasks/trial /opt/runner/hpo_tasks/trial
ENV PYTHONPATH=/opt/runner PYTHONUNBUFFERED=1
USER 50000:0
WORKDIR /home/trial
# No ENTRYPOINT: Batch would hand it the whole command of the job definition as arguments.
CMD ["python", "-m", "hpo_tasks.trial"]
