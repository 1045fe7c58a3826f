"""dlt with dlt-typesense: a table is merged into a collection by its primary key."""

import json
import os

import dlt
import psycopg
import typesense as client
from dlt_typesense import typesense, typesense_adapter
from dlt_typesense.configuration import TypesenseCredentials
from psycopg.rows import dict_row

BATCH = 1000


def get_client(self, *, read_timeout_seconds=180.0):
    """As dlt-typesense 0.2.0 does it, but for the timeout: it gives four, and the client takes one since 2.1."""
    return client.Client(
        {
            "nodes": [{"host": self.host, "port": self.port, "protocol": self.protocol}],
            "api_key": self.api_key,
            "connection_timeout_seconds": read_timeout_seconds,
            "num_retries": 0,
        }
    )


TypesenseCredentials.get_client = get_client


@dlt.resource(
    name="products", write_disposition="merge", primary_key="id", columns={"tags": {"data_type": "json"}}
)
def products():
    with psycopg.connect(os.environ["SOURCE"]) as connection, connection.cursor("rows", row_factory=dict_row) as cursor:
        cursor.execute("select * from products")
        while rows := cursor.fetchmany(BATCH):
            yield rows


fields = json.loads(os.environ["FIELDS"])
hints = {field["name"]: {key: value for key, value in field.items() if key != "name"} for field in fields}
pipeline = dlt.pipeline(
    pipeline_name=os.environ["COLLECTION"],
    pipelines_dir=os.environ["STATE"],
    destination=typesense(
        credentials={"host": os.environ["HOST"], "port": int(os.environ["PORT"]), "api_key": os.environ["API_KEY"]}
    ),
    dataset_name=os.environ["COLLECTION"],
)
print(pipeline.run(typesense_adapter(products, field_hints=hints)))
