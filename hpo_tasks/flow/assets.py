"""The Asset that a study's best is announced on."""

from airflow.sdk import AssetAlias


def asset_uri(dag_id: str) -> str:
    """URI of the asset that downstream DAGs are scheduled on."""
    return f"hpo://{dag_id}/best"


def best_alias(dag_id: str) -> AssetAlias:
    """Conclude's outlet: an alias, because an event is added only when the best is new."""
    return AssetAlias(f"{dag_id}_best")
