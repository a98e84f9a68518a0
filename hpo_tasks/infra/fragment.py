"""What a stack's outputs mean for a study file and for Airflow's settings."""

from collections.abc import Mapping


def fragment(outputs: Mapping[str, str]) -> str:
    """Lines to paste into a study file: `store` and `backend`. YAML.

    Args:
        outputs: of the stack, as hpo.yaml names them.
    """
    queue, definition = outputs["JobQueue"], outputs["JobDefinition"]
    policies = outputs["ControlPlanePolicyArns"].split(",")
    if "InputsPolicyArn" in outputs:
        policies.append(outputs["InputsPolicyArn"])
    return "\n".join(
        [
            f"# Airflow: HPO_DEPLOYMENT={outputs['Deployment']} AWS_DEFAULT_REGION={outputs['Region']}",
            "# The role of its workers needs these policies (those of backends that are not used can be left out):",
            *(f"#   {policy}" for policy in policies),
            f"store: {outputs['Store']}",
            f"backend: {{type: batch, slots: 8, job_queue: {queue}, job_definition: {definition}}}",
        ]
    )
