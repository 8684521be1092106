"""Airbyte: a declarative source of its CDK, run by PyAirbyte into its DuckDB cache. airbyte_pages.py <url> <folder>"""

import os
import sys

url, folder = sys.argv[1:3]
os.environ["DO_NOT_TRACK"] = "1"
os.environ["AIRBYTE_OFFLINE_MODE"] = "1"
os.environ["AIRBYTE_PROJECT_DIR"] = folder

import airbyte as ab  # noqa: E402
from airbyte.caches import DuckDBCache  # noqa: E402

text = {"type": ["string", "null"]}
whole = {"type": ["integer", "null"]}
number = {"type": ["number", "null"]}
schema = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "id": text,
        "seq": whole,
        "updated_at_ms": whole,
        "experiment_id": text,
        "name": text,
        "status": text,
        "user": text,
        "duration_ms": whole,
        "accuracy": number,
        "loss": number,
        "epoch": whole,
        "best": {"type": ["boolean", "null"]},
        "note": text,
        "tags": {"type": ["object", "null"], "properties": {"team": text, "stage": text, "region": text}},
    },
}
manifest = {
    "version": "6.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["rows"]},
    "streams": [
        {
            "type": "DeclarativeStream",
            "name": "rows",
            "primary_key": ["id"],
            "retriever": {
                "type": "SimpleRetriever",
                "requester": {"type": "HttpRequester", "url_base": url, "path": "/rows", "http_method": "GET"},
                "record_selector": {
                    "type": "RecordSelector",
                    "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
                },
                "paginator": {
                    "type": "DefaultPaginator",
                    "page_token_option": {
                        "type": "RequestOption",
                        "inject_into": "request_parameter",
                        "field_name": "cursor",
                    },
                    "pagination_strategy": {
                        "type": "CursorPagination",
                        "cursor_value": "{{ response['next_cursor'] }}",
                        "stop_condition": "{{ response['next_cursor'] is none }}",
                    },
                },
            },
            "schema_loader": {"type": "InlineSchemaLoader", "schema": schema},
        }
    ],
    "spec": {
        "type": "Spec",
        "connection_specification": {"type": "object", "properties": {}, "additionalProperties": True},
    },
}

if __name__ == "__main__":
    source = ab.get_source("source-bench", config={}, source_manifest=manifest)
    source.select_streams(["rows"])
    cache = DuckDBCache(db_path=f"{folder}/rows.duckdb", cache_dir=f"{folder}/cache", schema_name="bench")
    source.read(cache=cache, force_full_refresh=True)
