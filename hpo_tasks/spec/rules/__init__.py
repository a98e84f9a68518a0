"""What must hold in a study beyond types and bounds: one module per part of the file.

Each rule is a function from the spec to its problems; `hpo_tasks.spec.validate` holds the list of all of them.
"""
