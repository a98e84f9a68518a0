"""Data for the example studies in `dags/studies`. Generated, because a nightly study needs new data every night."""
