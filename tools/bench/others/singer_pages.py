"""Singer: a tap of its SDK, with msgspec as its documentation recommends for speed. singer_pages.py <url>"""

import sys

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import JSONPathPaginator
from singer_sdk.streams import RESTStream

url = sys.argv[1]


class Rows(RESTStream):
    name = "rows"
    path = "/rows"
    url_base = url
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    schema = th.PropertiesList(
        th.Property("id", th.StringType),
        th.Property("seq", th.IntegerType),
        th.Property("updated_at_ms", th.IntegerType),
        th.Property("experiment_id", th.StringType),
        th.Property("name", th.StringType),
        th.Property("status", th.StringType),
        th.Property("user", th.StringType),
        th.Property("duration_ms", th.IntegerType),
        th.Property("accuracy", th.NumberType),
        th.Property("loss", th.NumberType),
        th.Property("epoch", th.IntegerType),
        th.Property("best", th.BooleanType),
        th.Property("note", th.StringType),
        th.Property(
            "tags",
            th.ObjectType(
                th.Property("team", th.StringType),
                th.Property("stage", th.StringType),
                th.Property("region", th.StringType),
            ),
        ),
    ).to_dict()

    def get_new_paginator(self):
        return JSONPathPaginator("$.next_cursor")

    def get_url_params(self, context, next_page_token):
        return {"cursor": next_page_token or "0"}


class Pages(Tap):
    name = "tap-pages"
    config_jsonschema = th.PropertiesList().to_dict()
    message_writer_class = MsgSpecWriter

    def discover_streams(self):
        return [Rows(self)]


if __name__ == "__main__":
    Pages(config={}, parse_env_config=False).sync_all()
