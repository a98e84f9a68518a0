"""The search: proposing configurations, recording outcomes, deciding when to stop. No Airflow, no cloud.

identity, records, space, plan, summary   pure and light
sequences, samplers, propose              what to try next: a pure function of the history
storage, tables, read, ledger             the study database and the rules that make ask and tell repeatable
"""
