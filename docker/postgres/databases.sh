#!/bin/sh
# Three databases, each with a user of its own who sees no other. Run once, by the image, on an empty data folder.
set -eu
for name in airflow celery hpo; do
  case $name in
    airflow) password=$AIRFLOW_DB_PASSWORD ;;
    celery) password=$CELERY_DB_PASSWORD ;;
    hpo) password=$HPO_DB_PASSWORD ;;
  esac
  # The password by way of a file descriptor: an argument could be read by every process.
  psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres <<SQL
CREATE ROLE $name LOGIN PASSWORD '$password';
CREATE DATABASE $name OWNER $name;
REVOKE ALL ON DATABASE $name FROM PUBLIC;
SQL
done
