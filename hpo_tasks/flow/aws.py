"""boto3 clients: from an Airflow connection by the amazon provider's hook, or from the environment."""

import os
from typing import Any

from hpo_tasks.errors import InputError, RefusedError, UnavailableError

CONNECTION = "HPO_AWS_CONNECTION"
"""Variable: the Airflow connection of backends that name none."""


def backend_client(service: str, connection: str | None, region: str | None) -> Any:
    """A client for a study's backend; without a connection that of `HPO_AWS_CONNECTION`. Raises: as `client`."""
    named = connection or os.environ.get(CONNECTION) or None
    return client(service, named, region, field="backend.connection")


def client(service: str, connection: str | None, region: str | None = None, *, field: str) -> Any:
    """A client that does not repeat calls by itself: our retries count them, and SubmitJob must not be repeated blindly.

    Args:
        service: as boto3 calls it.
        connection: Airflow connection of type aws; None: the environment's credentials.
        region: None: the connection's, or the environment's.
        field: of the study file, for messages.

    Raises:
        InputError: the connection makes no client.
        RefusedError: this process may not read the connection, or the environment makes no client.
        UnavailableError: there is no such connection. Airflow says the same when its server does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from hpo_tasks.backends.aws_errors import explain
    from hpo_tasks.trial.s3_objects import client_config

    if connection is None:
        import boto3

        try:
            return boto3.session.Session().client(service, region_name=region, config=client_config())
        except (BotoCoreError, ValueError) as error:
            message = f"no {service} client from the AWS settings in the environment: {error}"
            raise RefusedError(message) from None
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from airflow.sdk.exceptions import AirflowException, AirflowSecretsBackendAccessDenied

    try:
        hook: Any = AwsBaseHook(
            aws_conn_id=connection, client_type=service, region_name=region, config=client_config()
        )
        if not hook.conn_config:  # it would go on with whatever credentials it finds
            raise UnavailableError(f"{field}: Airflow does not find `{connection}`: create it again")
        return hook.get_conn()
    except AirflowSecretsBackendAccessDenied:
        raise RefusedError(f"{field}: Airflow does not let this task read `{connection}`: allow it") from None
    except ClientError as error:  # of STS, which the hook asks for a role's credentials
        raise explain(error, f"{field}: `{connection}`") from None
    except (AirflowException, BotoCoreError, ValueError) as error:
        raise InputError(f"{field}: `{connection}` makes no {service} client: {error}") from None
