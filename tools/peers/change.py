"""Changes what is on an MLflow server, by MLflow's own Python client.

Usage: change.py --url URL tag RUN KEY VALUE | delete RUN... | restore RUN... | finish RUN... | finish-all | log RUN KEY VALUE STEP
                         | delete-experiment ID | restore-experiment ID
"""

import argparse

import mlflow
from mlflow.tracking import MlflowClient


def finish_all(client: MlflowClient) -> None:
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'", max_results=50_000):
            client.set_terminated(run.info.run_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("what", choices=["tag", "delete", "restore", "finish", "finish-all", "log", "delete-experiment", "restore-experiment"])
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args()
    mlflow.set_tracking_uri(chosen.url)
    client = MlflowClient()
    given = chosen.arguments
    if chosen.what == "tag":
        client.set_tag(*given)
    elif chosen.what == "log":
        run, key, value, step = given
        client.log_metric(run, key, float(value), step=int(step))
    elif chosen.what == "finish-all":
        finish_all(client)
    elif chosen.what.endswith("-experiment"):
        {"delete": client.delete_experiment, "restore": client.restore_experiment}[chosen.what.split("-")[0]](*given)
    else:
        change = {"delete": client.delete_run, "restore": client.restore_run, "finish": client.set_terminated}[chosen.what]
        for run in given:
            change(run)


main()
