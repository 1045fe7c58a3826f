"""Typesense's own client for Python searches the index `books` of thirty volumes, with a tenant key."""

import os
from urllib.parse import urlsplit

import typesense
from typesense import exceptions

where = urlsplit(os.environ["TIDEWELL_URL"])
client = typesense.Client({
    "nodes": [{"host": where.hostname, "port": where.port, "protocol": "http"}],
    "api_key": os.environ["TIDEWELL_KEY"],
    "num_retries": 0,
    "connection_timeout_seconds": 30,
})
books = client.collections["books"]

found = books.documents.search({
    "q": "sea", "query_by": "title", "filter_by": "year:>2000 && genre:=poetry", "sort_by": "year:desc", "facet_by": "genre",
    "per_page": 3, "page": 2, "include_fields": "title", "prefix": False, "num_typos": 0, "exhaustive_search": True,
})
assert (found["found"], found["page"], found["out_of"]) == (6, 2, 6), found
assert [hit["document"] for hit in found["hits"]][0] == {"title": "Volume 18 of the sea"}, found
assert found["facet_counts"][0]["counts"][0]["count"] == 6, found

results = client.multi_search.perform(
    {"searches": [{"collection": "books", "q": "volume"}, {"collection": "films", "q": "volume"}]},
    {"query_by": "title", "per_page": 1},
)["results"]
assert (results[0]["found"], len(results[0]["hits"]), results[1]["code"]) == (30, 1, 404), results

assert books.documents["7"].retrieve()["title"] == "Volume 7 of the sea"
assert books.retrieve()["num_documents"] == 30


def fails(call, kind, words):
    try:
        answer = call()
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"was answered: {answer}")


fails(lambda: books.documents["absent"].retrieve(), exceptions.ObjectNotFound, "absent")
fails(lambda: books.documents.search({"q": "*", "hidden_hits": "1"}), exceptions.RequestMalformed, "hidden_hits")
for call in [
    client.collections.retrieve,
    books.delete,
    books.documents.export,
    client.keys.retrieve,
    client.aliases.retrieve,
]:
    fails(call, exceptions.TypesenseClientError, "not offered")
