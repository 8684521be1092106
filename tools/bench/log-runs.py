"""Logs many small finished runs, straight into the store of a running server's API."""
import sys
from mlflow import MlflowClient
from mlflow.entities import Metric, Param

uri, count = sys.argv[1], int(sys.argv[2])
client = MlflowClient(uri)
experiment = client.create_experiment("bench")
for index in range(count):
    run = client.create_run(experiment, tags={"team": f"team-{index % 12}"}, run_name=f"run-{index}")
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(name, (index * 31 % 1000) / 1000, 1700000000000 + index, 0) for name in ("accuracy", "loss", "f1")],
        params=[Param("depth", str(index % 9)), Param("seed", str(index))],
    )
    client.set_terminated(run.info.run_id)
