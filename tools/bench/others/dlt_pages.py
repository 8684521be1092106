"""dlt: the pages of the bench's server into one table. dlt_pages.py <default|tuned|arrow> <url> <folder>"""

import os
import sys

way, url, folder = sys.argv[1:4]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
if way != "default":
    # What dlt's own page on performance recommends: files that are rotated, so that two processes can normalise them.
    os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = "100000"
    os.environ["NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS"] = "100000"
    os.environ["DATA_WRITER__BUFFER_MAX_ITEMS"] = "20000"
    os.environ["NORMALIZE__WORKERS"] = "2"

import dlt  # noqa: E402
from dlt.sources.helpers import requests  # noqa: E402
from dlt.sources.rest_api import rest_api_source  # noqa: E402

destination = (
    dlt.destinations.duckdb(f"{folder}/rows.duckdb")
    if way == "default"
    else dlt.destinations.filesystem(f"file://{folder}/lake")
)
pipeline = dlt.pipeline("bench", destination=destination, dataset_name="bench", pipelines_dir=f"{folder}/state")


def declared():
    return rest_api_source(
        {
            "client": {
                "base_url": url,
                "paginator": {
                    "type": "cursor",
                    "cursor_path": "next_cursor",
                    "cursor_param": "cursor",
                },
            },
            "resources": [
                {
                    "name": "rows",
                    # Told, because the first value is the whole number 0: dlt would make two columns of each.
                    "columns": {"accuracy": {"data_type": "double"}, "loss": {"data_type": "double"}},
                    "endpoint": {"path": "rows", "data_selector": "data"},
                }
            ],
        }
    )


@dlt.resource(name="rows")
def tables():
    import pyarrow as pa

    tags = pa.struct([("team", pa.string()), ("stage", pa.string()), ("region", pa.string())])
    whole = {"seq", "updated_at_ms", "duration_ms", "epoch"}
    names = ["id", "seq", "updated_at_ms", "experiment_id", "name", "status", "user", "duration_ms"]
    names += ["accuracy", "loss", "epoch", "best", "note"]
    types = {"accuracy": pa.float64(), "loss": pa.float64(), "best": pa.bool_()}
    fields = [(n, pa.int64() if n in whole else types.get(n, pa.string())) for n in names]
    schema = pa.schema(fields + [("tags", tags)])
    cursor = "0"
    while cursor is not None:
        page = requests.get(f"{url}/rows", params={"cursor": cursor}).json()
        yield pa.Table.from_pylist(page["data"], schema=schema).flatten().rename_columns(
            names + ["tags__team", "tags__stage", "tags__region"]
        )
        cursor = page["next_cursor"]


if __name__ == "__main__":
    data = tables() if way == "arrow" else declared()
    info = pipeline.run(data, **({} if way == "default" else {"loader_file_format": "parquet"}))
    info.raise_on_failed_jobs()
