# The image of all Airflow services. The version of Python that the tests run on.
FROM python:3.11.14-slim-bookworm AS build
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
COPY docker/airflow-requirements.lock /build/
RUN pip install --no-cache-dir --no-deps --require-hashes -r /build/airflow-requirements.lock
COPY pyproject.toml README.md LICENSE /build/
COPY hpo_tasks /build/hpo_tasks
RUN pip install --no-cache-dir --no-deps --no-build-isolation /build

FROM python:3.11.14-slim-bookworm
# Ids like those of Airflow's own images: volumes of theirs fit.
RUN useradd --uid 50000 --gid 0 --create-home --home-dir /home/airflow airflow \
 && install -d -o airflow -g root -m 0775 /opt/airflow /opt/airflow/logs /opt/airflow/plugins \
 && install -d -o airflow -g root -m 0700 /var/lib/hpo
COPY --from=build /opt/venv /opt/venv
COPY docker/init.py docker/health.py /opt/hpo/
COPY docker/airflow_local_settings.py /opt/airflow/config/
COPY dags /opt/airflow/dags
ENV PATH=/opt/venv/bin:$PATH AIRFLOW_HOME=/opt/airflow PYTHONUNBUFFERED=1
USER 50000:0
WORKDIR /opt/airflow
ENTRYPOINT []
CMD ["airflow", "version"]
