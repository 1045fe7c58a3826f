// The adapter for InstantSearch asks as its widgets do, with a tenant key.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

// Its bundle is made for browsers, whose global object is also called this.
globalThis.self = globalThis
const Adapter = createRequire(import.meta.url)('typesense-instantsearch-adapter/dist/typesense-instantsearch-adapter.js')

const { TIDEWELL_URL, TIDEWELL_KEY } = process.env
const { hostname, port } = new URL(TIDEWELL_URL)
const { searchClient } = new Adapter({
  server: { nodes: [{ host: hostname, port: Number(port), protocol: 'http' }], apiKey: TIDEWELL_KEY, numRetries: 0 },
  additionalSearchParameters: { query_by: 'title' },
})

const { results } = await searchClient.search([
  {
    indexName: 'books/sort/year:desc',
    params: {
      query: 'sea', facets: ['genre', 'year'], maxValuesPerFacet: 20, hitsPerPage: 4, page: 1,
      facetFilters: [['genre:poetry']], numericFilters: ['year>=2000', 'year<=2017'],
      highlightPreTag: '__ais-highlight__', highlightPostTag: '__/ais-highlight__', tagFilters: '',
    },
  },
  { indexName: 'books', params: { query: '', facets: 'genre', hitsPerPage: 0, page: 0 } },
])
assert.equal(results[0].nbHits, 6)
assert.equal(results[0].page, 1)
assert.equal(results[0].nbPages, 2)
assert.equal(results[0].hitsPerPage, 4)
assert.deepEqual(results[0].hits.map(hit => hit.objectID), ['15', '12'])
assert.match(results[0].hits[0]._highlightResult.title.value, /__ais-highlight__sea__\/ais-highlight__/)
assert.deepEqual(results[0].facets.genre, { poetry: 6 })
assert.equal(results[0].facets_stats.year.max, 2017)
assert.equal(results[1].nbHits, 30)
assert.deepEqual(results[1].facets.genre, { poetry: 10, prose: 20 })

const [values] = await searchClient.searchForFacetValues([
  { indexName: 'books', params: { facetName: 'genre', facetQuery: 'pro', facets: ['genre'], query: '' } },
])
assert.deepEqual(values.facetHits.map(({ value, count }) => [value, count]), [['prose', 20]])
await assert.rejects(searchClient.search([{ indexName: 'films', params: { query: 'a' } }]), /404/)
