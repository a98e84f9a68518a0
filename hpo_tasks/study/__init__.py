"""The search: proposing configurations, recording outcomes, deciding when to stop. No Airflow, no cloud.

identity, records, plan, attempts, summary, verdict   decisions and values, without Optuna
cost, forecast                                        what attempts cost; whether a round fits the budget
trial_times, machine_choice                           which machines a study should run on
space, sequences, samplers, adaptive, propose         what to try next: a function of the history alone
storage, sqlite_file, database_errors                 the study database: connections, locks, plain errors
tables, read, write, ledger                           ask and tell on it, repeatable
"""
