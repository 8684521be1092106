"""Trains real scikit-learn models on the data sets that ship with scikit-learn and logs them to an MLflow server.

Usage: train.py --url http://127.0.0.1:5001 [--runs 36] [--open 0] [--seed 0] [--once]

Five experiments; for each run its parameters, tags, the loss of every epoch, the final scores and an artifact; the best model of each experiment is
logged whole and registered, with versions and the aliases champion and challenger. A model that diverges is logged as a failed run, as it happens.
"""

import argparse
import json
import math
import time
import warnings

import mlflow
import numpy as np
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss, mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore", category=ConvergenceWarning)
warnings.filterwarnings("ignore", category=RuntimeWarning)

PROBLEMS = {
    "iris-classification": datasets.load_iris,
    "wine-classification": datasets.load_wine,
    "breast-cancer-classification": datasets.load_breast_cancer,
    "digits-classification": datasets.load_digits,
    "diabetes-regression": datasets.load_diabetes,
}
MARKER = "trained-with-seed"
EPOCHS = 30


class Log:
    """Collects what a run says and sends it in batches of at most 1,000 metrics and 100 parameters or tags."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client, self.run_id = client, run_id
        self.metrics: list[Metric] = []

    def metric(self, key: str, value: float, step: int = 0) -> None:
        self.metrics.append(Metric(key, float(value), int(time.time() * 1000), step))

    def send(self, params: dict[str, object], tags: dict[str, str]) -> None:
        self.client.log_batch(
            self.run_id,
            metrics=self.metrics[:900],
            params=[Param(key, str(value)) for key, value in params.items()],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )


def epochs(model, data, log: Log, classes) -> None:
    """Trains in epochs and logs the loss of each; the best before the first is infinite, and how much the first fell is not a number."""
    x, _, y, _ = data
    before, best = math.nan, math.inf
    log.metric("best_loss", best, 0)
    for epoch in range(EPOCHS):
        if classes is None:
            model.partial_fit(x, y)
            loss = mean_squared_error(y, model.predict(x))
        else:
            model.partial_fit(x, y, classes=classes)
            loss = log_loss(y, model.predict_proba(x), labels=classes)
        log.metric("train_loss", loss, epoch)
        log.metric("train_loss_fall", before - loss, epoch)
        before, best = loss, min(best, loss)
        log.metric("best_loss", best, epoch + 1)
        if not loss < 1e9:
            raise ValueError(f"the loss grew to {loss:.3g}")


def choose(kind: str, generator: np.random.Generator):
    """A model and the parameters that it was made with."""
    draw = generator.choice
    seed = int(generator.integers(2**31))
    if kind == "classification":
        name = str(draw(["SGDClassifier", "SGDClassifier", "MLPClassifier", "RandomForestClassifier", "KNeighborsClassifier"]))
        params = {
            "SGDClassifier": {"alpha": float(10.0 ** -generator.uniform(1, 5)), "penalty": str(draw(["l2", "l1", "elasticnet"]))},
            "MLPClassifier": {"hidden": int(draw([8, 16, 32])), "learning_rate_init": float(10.0 ** -generator.uniform(1, 3))},
            "RandomForestClassifier": {"n_estimators": int(draw([10, 25, 50])), "max_depth": int(draw([2, 4, 8]))},
            "KNeighborsClassifier": {"n_neighbors": int(draw([1, 3, 5, 9, 15]))},
        }[name]
        model = {
            "SGDClassifier": lambda p: SGDClassifier(loss="log_loss", random_state=seed, **p),
            "MLPClassifier": lambda p: MLPClassifier((p["hidden"],), learning_rate_init=p["learning_rate_init"], random_state=seed),
            "RandomForestClassifier": lambda p: RandomForestClassifier(random_state=seed, **p),
            "KNeighborsClassifier": lambda p: KNeighborsClassifier(**p),
        }[name](params)
    else:
        name = str(draw(["SGDRegressor", "SGDRegressor", "Ridge", "RandomForestRegressor"]))
        params = {
            "SGDRegressor": {"eta0": float(10.0 ** generator.uniform(-4, 1.5)), "alpha": float(10.0 ** -generator.uniform(1, 5))},
            "Ridge": {"alpha": float(10.0 ** generator.uniform(-3, 2))},
            "RandomForestRegressor": {"n_estimators": int(draw([10, 25, 50])), "max_depth": int(draw([2, 4, 8]))},
        }[name]
        model = {
            "SGDRegressor": lambda p: SGDRegressor(random_state=seed, learning_rate="constant", **p),
            "Ridge": lambda p: Ridge(random_state=seed, **p),
            "RandomForestRegressor": lambda p: RandomForestRegressor(random_state=seed, **p),
        }[name](params)
    return name, {**params, "random_state": seed}, model


def score(kind: str, model, data, log: Log) -> float:
    _, x, _, y = data
    predicted = model.predict(x)
    if kind == "regression":
        log.metric("r2", r2_score(y, predicted))
        log.metric("mae", mean_absolute_error(y, predicted))
        log.metric("rmse", math.sqrt(mean_squared_error(y, predicted)))
        return r2_score(y, predicted)
    log.metric("accuracy", accuracy_score(y, predicted))
    log.metric("f1_macro", f1_score(y, predicted, average="macro"))
    log.metric("log_loss", log_loss(y, model.predict_proba(x), labels=model.classes_))
    return accuracy_score(y, predicted)


def train(client: MlflowClient, problem: str, experiment_id: str, number: int, left_open: bool, generator):
    """One run, from its start to its end; gives (score, run id, fitted pipeline), or None when it failed or stays open."""
    bunch = PROBLEMS[problem]()
    kind = problem.rsplit("-", 1)[1]
    classes = np.unique(bunch.target) if kind == "classification" else None
    name, params, model = choose(kind, generator)
    started = int(time.time() * 1000)
    run = client.create_run(experiment_id, start_time=started, run_name=f"{name.lower()}-{number}")
    log = Log(client, run.info.run_id)
    split = train_test_split(bunch.data, bunch.target, test_size=0.3, random_state=number)
    scaler = StandardScaler().fit(split[0])
    data = (scaler.transform(split[0]), scaler.transform(split[1]), split[2], split[3])
    tags = {"estimator": name, "dataset": problem.rsplit("-", 1)[0], "team": "übung-数据" if number % 7 == 0 else "research"}
    status, reached = "FINISHED", None
    try:
        if hasattr(model, "partial_fit"):
            epochs(model, data, log, classes)
        else:
            model.fit(data[0], data[2])
        reached = score(kind, model, data, log)
        if classes is not None:
            matrix = confusion_matrix(data[3], model.predict(data[1])).tolist()
            client.log_dict(run.info.run_id, {"labels": classes.tolist(), "matrix": matrix}, "evaluation/confusion_matrix.json")
        else:
            client.log_text(run.info.run_id, json.dumps(params, indent=2), "evaluation/settings.json")
    except ValueError as error:  # it diverged
        status = "FAILED"
        tags["failure"] = str(error)[:500]
    log.send(params, tags)
    if left_open:
        return None
    client.set_terminated(run.info.run_id, status)
    return None if reached is None else (reached, run.info.run_id, make_pipeline(scaler, model))


def register(client: MlflowClient, problem: str, ranked) -> None:
    """Logs the best model whole; registers the three best as versions, the best last."""
    model_name = f"{problem.rsplit('-', 1)[0]}-model"
    if not client.search_registered_models(f"name = '{model_name}'"):
        client.create_registered_model(model_name, {"problem": problem}, f"The best model of {problem}")
    for place, (reached, run_id, fitted) in reversed(list(enumerate(ranked[:3]))):
        source, model_id = f"runs:/{run_id}/evaluation", None
        if place == 0:
            with mlflow.start_run(run_id=run_id, log_system_metrics=False):
                info = mlflow.sklearn.log_model(fitted, name="model", pip_requirements=["scikit-learn"], serialization_format="cloudpickle")
            source, model_id = info.model_uri, info.model_id
        version = client.create_model_version(
            model_name, source, run_id, tags={"score": f"{reached:.4f}"}, description=f"Number {place + 1} of this training", model_id=model_id
        )
        if place < 2:
            client.set_registered_model_alias(model_name, ["champion", "challenger"][place], version.version)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="the tracking server")
    parser.add_argument("--runs", type=int, default=36, help="how many runs to train")
    parser.add_argument("--open", type=int, default=0, help="how many of them stay unfinished")
    parser.add_argument("--seed", type=int, default=0, help="the same seed trains the same models")
    parser.add_argument("--once", action="store_true", help="do nothing when this seed was trained here before")
    chosen = parser.parse_args()
    mlflow.set_tracking_uri(chosen.url)
    client = MlflowClient()
    ids = {}
    for problem in PROBLEMS:
        found = client.get_experiment_by_name(problem)
        ids[problem] = found.experiment_id if found else client.create_experiment(problem, tags={"library": "scikit-learn"})
    first = next(iter(PROBLEMS))
    marker = f"{MARKER}-{chosen.seed}"
    if chosen.once and marker in client.get_experiment(ids[first]).tags:
        print(json.dumps({"trained": 0, "reason": "trained before"}))
        return
    generator = np.random.default_rng(chosen.seed)
    ranked = {problem: [] for problem in PROBLEMS}
    for number in range(chosen.runs):
        problem = list(PROBLEMS)[number % len(PROBLEMS)]
        result = train(client, problem, ids[problem], number, number >= chosen.runs - chosen.open, generator)
        if result is not None:
            ranked[problem].append(result)
        print(json.dumps({"run": number + 1, "of": chosen.runs, "experiment": problem}), flush=True)
    for problem, results in ranked.items():
        if results:
            register(client, problem, sorted(results, key=lambda result: -result[0]))
    client.set_experiment_tag(ids[first], marker, str(chosen.runs))
    print(json.dumps({"trained": chosen.runs}))


main()
