"""Prints as JSON what MLflow's own Python client reports about a server: the truth that a copy is held against.

Usage: truth.py --url http://127.0.0.1:5001

Deleted experiments and runs are included. Integers of 64 bits (steps and times of metrics) are strings of digits; NaN and the infinities are the
strings "NaN", "Infinity" and "-Infinity"; all other times are milliseconds since 1970. Everything is sorted by its key.
"""

import argparse
import json
import math
import sys
from concurrent.futures import ThreadPoolExecutor

import mlflow
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient


def number(value: float):
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


def pages(ask):
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    chosen = parser.parse_args()
    mlflow.set_tracking_uri(chosen.url)
    client = MlflowClient()
    experiments = list(pages(lambda token: client.search_experiments(view_type=ViewType.ALL, page_token=token)))
    runs = [
        run
        for experiment in experiments
        for run in pages(lambda token: client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL, page_token=token))
    ]
    models = list(pages(lambda token: client.search_registered_models(page_token=token)))
    versions = list(pages(lambda token: client.search_model_versions(page_token=token)))

    def history(key):
        return [
            {"run_id": key[0], "key": row.key, "value": number(row.value), "timestamp": str(row.timestamp), "step": str(row.step)}
            for row in client.get_metric_history(*key)
        ]

    keys = [(run.info.run_id, key) for run in runs for key in run.data.metrics]
    with ThreadPoolExecutor(4) as pool:
        metrics = [row for rows in pool.map(history, keys) for row in rows]
    result = {
        "experiments": [
            {
                "experiment_id": one.experiment_id,
                "name": one.name,
                "artifact_location": one.artifact_location,
                "lifecycle_stage": one.lifecycle_stage,
                "creation_time": one.creation_time,
                "last_update_time": one.last_update_time,
                "tags": one.tags,
            }
            for one in sorted(experiments, key=lambda one: one.experiment_id)
        ],
        "runs": [
            {
                "run_id": one.info.run_id,
                "experiment_id": one.info.experiment_id,
                "run_name": one.info.run_name,
                "user_id": one.info.user_id,
                "status": one.info.status,
                "lifecycle_stage": one.info.lifecycle_stage,
                "artifact_uri": one.info.artifact_uri,
                "start_time": one.info.start_time,
                "end_time": one.info.end_time,
                "params": one.data.params,
                "tags": one.data.tags,
                "metrics": {key: number(value) for key, value in one.data.metrics.items()},
            }
            for one in sorted(runs, key=lambda one: one.info.run_id)
        ],
        "metrics": sorted(metrics, key=lambda row: (row["run_id"], row["key"], int(row["timestamp"]), int(row["step"]), str(row["value"]))),
        "registered_models": [
            {
                "name": one.name,
                "description": one.description,
                "creation_timestamp": one.creation_timestamp,
                "last_updated_timestamp": one.last_updated_timestamp,
                "tags": one.tags,
                "aliases": {alias: str(version) for alias, version in one.aliases.items()},
            }
            for one in sorted(models, key=lambda one: one.name)
        ],
        "model_versions": [
            {
                "name": one.name,
                "version": str(one.version),
                "run_id": one.run_id,
                "source": one.source,
                "status": one.status,
                "stage": one.current_stage,
                "description": one.description,
                "creation_timestamp": one.creation_timestamp,
                "last_updated_timestamp": one.last_updated_timestamp,
                "tags": one.tags,
                "aliases": sorted(one.aliases),
            }
            for one in sorted(versions, key=lambda one: (one.name, int(one.version)))
        ],
    }
    json.dump(result, sys.stdout, ensure_ascii=False)


main()
