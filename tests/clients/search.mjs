// Typesense's own client for JavaScript searches the index `books` of thirty volumes, with a tenant key.
import assert from 'node:assert/strict'
import Typesense from 'typesense'

const { TIDEWELL_URL, TIDEWELL_KEY } = process.env
const { hostname, port } = new URL(TIDEWELL_URL)
const options = { nodes: [{ host: hostname, port: Number(port), protocol: 'http' }], apiKey: TIDEWELL_KEY, numRetries: 0 }

for (const client of [
  new Typesense.Client(options),
  new Typesense.SearchClient(options),
  new Typesense.Client({ ...options, sendApiKeyAsQueryParam: true }),
  new Typesense.Client({ ...options, useServerSideSearchCache: true }),
]) {
  const found = await client.collections('books').documents().search({
    q: 'sea', query_by: ['title'], filter_by: 'year:>2000 && genre:=poetry', sort_by: 'year:desc', facet_by: 'genre',
    per_page: 3, page: 2, exclude_fields: 'year', prefix: false, num_typos: 0, highlight_start_tag: '<b>', highlight_end_tag: '</b>',
  })
  assert.equal(found.found, 6)
  assert.equal(found.page, 2)
  assert.equal(found.out_of, 6)
  assert.deepEqual(found.request_params, { collection_name: 'books', per_page: 3, q: 'sea' })
  assert.deepEqual(found.hits.map(hit => hit.document.id), ['18', '15', '12'])
  assert.deepEqual(Object.keys(found.hits[0].document).sort(), ['genre', 'id', 'tenantId', 'title'])
  assert.match(found.hits[0].highlights[0].snippet, /<b>sea<\/b>/)
  assert.deepEqual(found.facet_counts[0].counts.map(({ value, count }) => [value, count]), [['poetry', 6]])

  const { results } = await client.multiSearch.perform(
    { searches: [{ collection: 'books', q: 'volume' }, { collection: 'films', q: 'volume' }, { collection: 'books', q: '*', filter_by: 'year:1) || (year:2' }] },
    { query_by: 'title', per_page: 1 },
  )
  assert.equal(results[0].found, 30)
  assert.equal(results[0].hits.length, 1)
  assert.equal(results[1].code, 404)
  assert.equal(results[2].code, 400)
  assert.match(results[2].error, /filter_by/)
}

const client = new Typesense.Client(options)
const books = client.collections('books')
const grouped = await books.documents().search({ q: '*', group_by: 'genre', group_limit: 2 })
assert.deepEqual(grouped.grouped_hits.map(group => group.hits.length), [2, 2])
const page = await books.documents().search({ q: '*', sort_by: 'year:asc', limit: 5, offset: 10 })
assert.deepEqual(page.hits.map(hit => hit.document.id), ['10', '11', '12', '13', '14'])
assert.equal((await books.documents('7').retrieve()).title, 'Volume 7 of the sea')
assert.equal((await books.retrieve()).num_documents, 30)

const fails = async (call, status, words) => {
  const error = await call().then(() => assert.fail('was answered'), error => error)
  assert.equal(error.httpStatus, status, error.message)
  assert.match(error.message, words)
}
await fails(() => books.documents('absent').retrieve(), 404, /Could not find a document with id: absent/)
await fails(() => client.collections('films').documents().search({ q: 'a', query_by: 'title' }), 404, /no such index/)
await fails(() => books.documents().search({ q: '*', pinned_hits: '1:1' }), 400, /pinned_hits is not offered/)
await fails(() => books.documents().search({ q: '*', per_page: 250 }), 400, /per_page/)
await fails(() => new Typesense.Client({ ...options, apiKey: 'ss_search_no' }).collections('books').retrieve(), 401, /key/)
for (const call of [
  () => client.collections().retrieve(),
  () => client.collections().create({ name: 'films', fields: [{ name: 'title', type: 'string' }] }),
  () => books.delete(),
  () => books.update({ fields: [] }),
  () => books.overrides().retrieve(),
  () => books.synonyms().upsert('a', { synonyms: ['a', 'b'] }),
  () => books.documents().export(),
  () => client.keys().retrieve(),
  () => client.aliases().upsert('a', { collection_name: 'books' }),
  () => client.presets().retrieve(),
  () => client.stopwords().retrieve(),
  () => client.analytics.rules().retrieve(),
  () => client.operations.perform('snapshot', { snapshot_path: '/tmp' }),
  () => client.debug.retrieve(),
  () => client.metrics.retrieve(),
]) {
  await fails(call, 403, /not offered/)
}
