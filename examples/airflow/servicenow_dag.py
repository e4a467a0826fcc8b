"""Syncs ServiceNow every night.

Copy this file into Airflow's folder of DAGs. The worker needs the CloudQuery CLI, cq-source-servicenow beside the config, and the config in the folder below.
Each value comes from an Airflow variable, whose name begins with secret_ so that Airflow hides it in its pages and logs:
    secret_servicenow_client_id          Client ID of the OAuth application
    secret_servicenow_client_secret      its client secret
    secret_postgresql_connection_string  such as postgresql://user@host:5432/database, with the password

These come from the worker's own environment:

    CLOUDQUERY_API_KEY            from cloud.cloudquery.io, to download plugins; or run cloudquery login once
"""

from datetime import datetime, timedelta, timezone

try:  # Airflow 3
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.operators.bash import BashOperator

with DAG(
    dag_id="servicenow_sync",
    schedule="49 1 * * *",  # UTC
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,  # two syncs at once would do the same work twice
    default_args={"retries": 2, "retry_delay": timedelta(minutes=10)},
    tags=["servicenow", "cloudquery"],
):
    BashOperator(
        task_id="sync",
        bash_command="cloudquery sync servicenow.yml --log-console",
        cwd="/opt/airflow/servicenow",
        env={
            "SERVICENOW_CLIENT_ID": "{{ var.value.secret_servicenow_client_id }}",
            "SERVICENOW_CLIENT_SECRET": "{{ var.value.secret_servicenow_client_secret }}",
            "POSTGRESQL_CONNECTION_STRING": "{{ var.value.secret_postgresql_connection_string }}",
        },
        append_env=True,
        execution_timeout=timedelta(hours=12),
    )
