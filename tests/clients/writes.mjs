// Typesense's own client for JavaScript writes into the index `books`, with a tenant key.
import assert from 'node:assert/strict'
import Typesense from 'typesense'

const { TIDEWELL_URL, TIDEWELL_KEY } = process.env
const { hostname, port } = new URL(TIDEWELL_URL)
const options = { nodes: [{ host: hostname, port: Number(port), protocol: 'http' }], apiKey: TIDEWELL_KEY, numRetries: 0, connectionTimeoutSeconds: 60 }
const books = new Typesense.Client(options).collections('books')

const fails = async (call, status, words) => {
  const error = await call().then(() => assert.fail('was answered'), error => error)
  assert.equal(error.httpStatus, status, error.message)
  assert.match(error.message, words)
}

// Single documents.
const one = { id: 'one', title: 'One', year: 1, tags: ['a'] }
assert.deepEqual(await books.documents().create(one), one)
await fails(() => books.documents().create(one), 409, /A document with id one already exists\./)
assert.deepEqual(await books.documents('one').update({ year: 2, tags: ['b'] }), { ...one, year: 2, tags: ['b'] })
assert.deepEqual(await books.documents().update({ id: 'one', year: 3 }), { ...one, year: 3, tags: ['b'] })
await fails(() => books.documents('none').update({ year: 2 }), 404, /Could not find a document with id: none/)
await books.documents().upsert({ id: 'two', title: 'Two' })
assert.deepEqual(await books.documents().upsert({ id: 'two', title: 'Two, again' }), { id: 'two', title: 'Two, again' })
await books.documents().emplace({ id: 'three', title: 'Three' })
const three = await books.documents().emplace({ id: 'three', genre: 'poetry' })
assert.deepEqual(three, { id: 'three', title: 'Three', genre: 'poetry' })
const unnamed = await books.documents().create({ title: 'Unnamed' })
assert.equal(typeof unnamed.id, 'string')
assert.deepEqual(await books.documents(unnamed.id).delete(), unnamed)
await fails(() => books.documents(unnamed.id).delete(), 404, /Could not find a document/)
const odd = { id: 'a b/ü', title: 'Odd' }
await books.documents().create(odd)
assert.deepEqual(await books.documents(odd.id).update({ year: 1 }), { ...odd, year: 1 })

// Imports, of objects and of lines.
const many = Array.from({ length: 2500 }, (_, n) => ({ id: `many-${n}`, title: `Book ${n}`, year: 1999 }))
const created = await books.documents().import(many, { action: 'create', batch_size: 100, return_id: true })
assert.equal(created.length, 2500)
assert.deepEqual(created[2499], { id: 'many-2499', success: true })
const years = many.map(({ id }) => JSON.stringify({ id, year: 2000 })).join('\n')
const updated = (await books.documents().import(years, { action: 'update', dirty_values: 'coerce_or_reject' })).split('\n')
assert.deepEqual(updated.map(line => JSON.parse(line)), many.map(() => ({ success: true })))
const failed = await books.documents().import([many[0], { id: 'absent', title: 'Absent' }], { action: 'create' })
  .then(() => assert.fail('was answered'), error => error.importResults)
assert.deepEqual(failed.map(({ success, code }) => [success, code]), [[false, 409], [true, undefined]])
const missing = await books.documents().import([{ id: 'nobody', year: 1 }], { action: 'update' })
  .then(() => assert.fail('was answered'), error => error.importResults)
assert.deepEqual([missing[0].code, missing[0].error], [404, 'Could not find a document with id: nobody'])
const emplaced = await books.documents().import([{ id: 'gone', title: 'Gone', year: 1900 }, { id: 'gone', year: 1901 }], { action: 'emplace', return_doc: true })
assert.deepEqual(emplaced[1].document, { id: 'gone', title: 'Gone', year: 1901 })
await books.documents().import([{ id: 'absent', title: 'Absent', year: 1901 }], { action: 'upsert' })

// Deletes by filter, and what is not offered.
const deleted = await books.documents().delete({ filter_by: 'year:1901', batch_size: 100 })
assert.deepEqual([deleted.num_deleted, deleted.status], [null, 'queued'])
await fails(() => books.documents().delete({ filter_by: 'year:1) || (year:2' }), 400, /./)
await fails(() => books.documents().update({ year: 1 }, { filter_by: 'year:2' }), 403, /not offered/)
await fails(() => books.documents().export(), 403, /not offered/)
