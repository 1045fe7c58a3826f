"""Typesense's own client: a table is read through a server-side cursor and imported in batches.

Prints how many documents were taken, and what was said of each that was not."""

import json
import os

import psycopg
import typesense
from psycopg.rows import dict_row

BATCH = 1000

client = typesense.Client(
    {
        "nodes": [{"host": os.environ["HOST"], "port": os.environ["PORT"], "protocol": "http"}],
        "api_key": os.environ["API_KEY"],
        "connection_timeout_seconds": 120,
    }
)
name = os.environ["COLLECTION"]
try:
    client.collections[name].retrieve()
except typesense.exceptions.ObjectNotFound:
    client.collections.create({"name": name, "fields": json.loads(os.environ["FIELDS"])})

taken, refused = 0, []
with psycopg.connect(os.environ["SOURCE"]) as connection, connection.cursor("rows", row_factory=dict_row) as cursor:
    cursor.execute("select * from products")
    while rows := cursor.fetchmany(BATCH):
        for row in rows:
            row["id"] = str(row["id"])
        results = client.collections[name].documents.import_(rows, {"action": "upsert"})
        taken += sum(result["success"] for result in results)
        refused += [f'{result["error"]}: {result["document"]}' for result in results if not result["success"]]
print(json.dumps({"taken": taken, "refused": refused}))
