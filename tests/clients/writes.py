"""Typesense's own client for Python writes into the index `books`, with a tenant key."""

import json
import os
from urllib.parse import quote, urlsplit

import typesense
from typesense import exceptions

where = urlsplit(os.environ["TIDEWELL_URL"])
client = typesense.Client({
    "nodes": [{"host": where.hostname, "port": where.port, "protocol": "http"}],
    "api_key": os.environ["TIDEWELL_KEY"],
    "num_retries": 0,
    "connection_timeout_seconds": 60,
})
documents = client.collections["books"].documents


def fails(call, kind, words):
    try:
        answer = call()
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"was answered: {answer}")


# Single documents.
one = {"id": "one", "title": "One", "year": 1, "tags": ["a"]}
assert documents.create(one) == one
fails(lambda: documents.create(one), exceptions.ObjectAlreadyExists, "A document with id one already exists.")
assert documents["one"].update({"year": 2, "tags": ["b"]}) == {**one, "year": 2, "tags": ["b"]}
assert documents["one"].update({"year": 3}) == {**one, "year": 3, "tags": ["b"]}
fails(lambda: documents["none"].update({"year": 2}), exceptions.ObjectNotFound, "Could not find a document with id: none")
documents.upsert({"id": "two", "title": "Two"})
assert documents.upsert({"id": "two", "title": "Two, again"}) == {"id": "two", "title": "Two, again"}
documents.create({"id": "three", "title": "Three"}, {"action": "emplace"})
unnamed = documents.create({"title": "Unnamed"})
assert isinstance(unnamed["id"], str)
assert documents[unnamed["id"]].delete() == unnamed
fails(lambda: documents[unnamed["id"]].delete(), exceptions.ObjectNotFound, "Could not find a document")
odd = {"id": "a b/ü", "title": "Odd"}
documents.create(odd)
# This client puts an id into the path as it is.
assert documents[quote(odd["id"], safe="")].update({"year": 1}) == {**odd, "year": 1}

# Imports, of objects and of lines.
many = [{"id": f"many-{n}", "title": f"Book {n}", "year": 1999} for n in range(2500)]
created = documents.import_(many, {"action": "create", "return_id": True}, batch_size=1200)
assert len(created) == 2500 and created[2499] == {"id": "many-2499", "success": True}, created[-1]
years = "\n".join(json.dumps({"id": book["id"], "year": 2000}) for book in many)
updated = documents.import_(years, {"action": "update", "dirty_values": "coerce_or_reject"})
assert [json.loads(line) for line in updated.split("\n")] == [{"success": True}] * 2500
mixed = documents.import_([many[0], {"id": "absent", "title": "Absent"}], {"action": "create"})
assert [(line["success"], line.get("code")) for line in mixed] == [(False, 409), (True, None)], mixed
missing = documents.import_([{"id": "nobody", "year": 1}], {"action": "update"})
assert (missing[0]["code"], missing[0]["error"]) == (404, "Could not find a document with id: nobody"), missing
emplaced = documents.import_(
    [{"id": "three", "genre": "poetry"}, {"id": "gone", "title": "Gone", "year": 1901}],
    {"action": "emplace", "return_doc": True},
)
assert emplaced[0]["document"] == {"id": "three", "title": "Three", "genre": "poetry"}, emplaced
documents.import_([{"id": "absent", "title": "Absent", "year": 1901}], {"action": "upsert"})

# Deletes by filter, and what is not offered.
deleted = documents.delete({"filter_by": "year:1901"})
assert (deleted["num_deleted"], deleted["status"]) == (None, "queued"), deleted
fails(lambda: documents.delete({"filter_by": "year:1) || (year:2"}), exceptions.RequestMalformed, "")
fails(lambda: documents.update({"year": 1}, {"filter_by": "year:2"}), exceptions.TypesenseClientError, "not offered")
fails(documents.export, exceptions.TypesenseClientError, "not offered")
