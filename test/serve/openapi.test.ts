/** The server does what openapi.json says: each operation is called, and every answer has a status and a shape that stand there. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { png, type Served, serveLenet } from './house.js';

// biome-ignore lint/suspicious/noExplicitAny: whatever JSON holds; the tests say what they expect of it
type Json = any;

let house: Served;
let api: Json;
beforeAll(async () => {
  house = await serveLenet({ token: 'secret', maxBytes: 100_000, timeoutMs: 1000 });
  api = (await (await fetch(`${house.url}/openapi.json`)).json()) as Json;
});
afterAll(() => house[Symbol.asyncDispose]());

const authorization = { Authorization: 'Bearer secret' };

const referred = (ref: string): Json =>
  ref
    .split('/')
    .slice(1)
    .reduce((part: Json, key: string) => part?.[key], api);

/** What of `value` the schema does not allow; the part of JSON Schema that the description uses. Unknown words are a fault of their own. */
function faults(value: unknown, schema: Json, at = '$'): string[] {
  const known = [
    '$ref',
    'oneOf',
    'type',
    'required',
    'properties',
    'additionalProperties',
    'items',
    'minimum',
    'maximum',
    'enum',
    'description',
  ];
  const strange = Object.keys(schema).filter((key) => !known.includes(key));
  if (strange.length > 0) return [`${at}: the schema uses ${strange}`];
  if (schema.$ref) return faults(value, referred(schema.$ref), at);
  if (schema.oneOf) {
    const fitting = (schema.oneOf as Json[]).filter((one) => faults(value, one, at).length === 0);
    return fitting.length === 1 ? [] : [`${at}: fits ${fitting.length} of the schemas`];
  }
  const type = Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  if (type !== schema.type && !(type === 'integer' && schema.type === ('number' as never)))
    return [`${at}: ${type}, not ${schema.type}`];
  if (schema.enum && !(schema.enum as unknown[]).includes(value))
    return [`${at}: ${value} is not among ${schema.enum}`];
  if (typeof value === 'number') {
    return value < (schema.minimum ?? -Infinity) || value > (schema.maximum ?? Infinity)
      ? [`${at}: ${value} is out of range`]
      : [];
  }
  if (Array.isArray(value)) return value.flatMap((item, i) => faults(item, schema.items, `${at}[${i}]`));
  if (typeof value !== 'object') return [];
  const { properties = {} as Json, required = [] as unknown as Json } = schema;
  const missing = (required as string[])
    .filter((key) => !Object.hasOwn(value!, key))
    .map((key) => `${at}.${key} is missing`);
  const extra = Object.keys(value!).filter((key) => schema.properties && !Object.hasOwn(properties, key)).map((key) => `${at}.${key} is not described`); // biome-ignore format: one thought
  const inner = Object.entries(value!).flatMap(([key, item]) =>
    properties[key] ? faults(item, properties[key], `${at}.${key}`) : [],
  );
  return [...missing, ...extra, ...inner];
}

async function expectDescribed(path: string, response: Response): Promise<void> {
  const method = path.startsWith('GET') ? 'get' : 'post';
  const described = api.paths[path.slice(path.indexOf('/')).split('?')[0]][method].responses[response.status];
  expect(described, `${path} answered ${response.status}`).toBeDefined();
  const type = response.headers.get('content-type')!.split(';')[0];
  expect(Object.keys(described.content)).toEqual([type]);
  if (type === 'application/json') expect(faults(await response.json(), described.content[type].schema)).toEqual([]);
}

describe('openapi.json', () => {
  it('is OpenAPI 3.1 with the facts of the model, and all of its references lead somewhere', () => {
    expect(api.openapi).toBe('3.1.0');
    expect(api.info.title).toBe('lenet5 served by fovea');
    const references = JSON.stringify(api).match(/"#\/[^"]*"/g)!.map((ref) => JSON.parse(ref) as string); // biome-ignore format: one thought
    expect(references.length).toBeGreaterThan(5);
    for (const ref of references) {
      expect(referred(ref), ref).toBeDefined();
    }
    const top = (api.paths['/predict'].post.parameters as Json[])[0].schema;
    expect([top.minimum, top.maximum, top.default]).toEqual([1, 7, 5]);
  });

  it('describes what every GET answers', async () => {
    for (const path of Object.keys(api.paths)) {
      if (!api.paths[path].get) continue;
      const response = await fetch(house.url + path, { headers: authorization });
      expect(response.status).toBe(200);
      await expectDescribed(`GET ${path}`, response);
    }
  });

  it('describes predictions and refusals', async () => {
    const picture = await png(1);
    const form = (...bodies: BlobPart[]) => {
      const made = new FormData();
      for (const body of bodies) made.append('file', new Blob([body]), 'a');
      return made;
    };
    const cases: [status: number, body: BodyInit, headers?: Record<string, string>, query?: string][] = [
      [200, picture],
      [200, picture, {}, '?top=7'],
      [200, form(picture)],
      [200, form(picture, 'broken', picture)],
      [400, form('broken', 'broken')],
      [400, new TextEncoder().encode('broken')],
      [400, picture, {}, '?top=none'],
      [401, picture, { Authorization: 'Bearer wrong' }],
      [413, new Uint8Array(100_001)],
      [415, '{}', { 'Content-Type': 'application/json' }],
    ];
    for (const path of ['/predict', '/']) {
      for (const [status, body, headers, query = ''] of cases) {
        const response = await fetch(`${house.url}${path}${query}`, {
          method: 'POST',
          body,
          headers: { ...authorization, ...headers },
        });
        expect(response.status).toBe(status);
        await expectDescribed(`POST ${path}`, response);
      }
    }
  });

  it('describes a token only where one is asked for', async () => {
    await using open = await serveLenet();
    const plain = (await (await fetch(`${open.url}/openapi.json`)).json()) as Json;
    expect(plain.components.securitySchemes).toBeUndefined();
    expect(plain.paths['/predict'].post.security).toBeUndefined();
    expect(api.paths['/predict'].post.security).toEqual([{ token: [] }]);
  });
});
