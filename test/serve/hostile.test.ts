/**
 * Ten thousand requests that are wrong in some way — the corpus of hostile pictures, bytes exchanged, forms with broken boundaries, lengths that lie, headers
 * without end, bombs — beside good ones. Each gets an answer or a closed connection, every good one its prediction, and nothing is left behind.
 */

import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { Random as Draws } from '../../src/data/random.js';
import { decodeImage } from '../../src/io/all.node.js';
import { crc32 } from '../../src/io/crc32.js';
import { HostilePictures } from '../fuzz/hostile-pictures.js';
import { Leftovers } from '../fuzz/in-process.js';
import { png, rawRequest, type Served, serveLenet, statusOf } from './house.js';

let house: Served;
beforeAll(async () => {
  house = await serveLenet({ maxBytes: 300_000, maxPixels: 4_000_000, timeoutMs: 3000, maxBatch: 8 });
});
afterAll(() => house[Symbol.asyncDispose]());

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

function post(body: string, headers: string, path = '/predict'): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n\r\n${body}`;
}

const withLength = (body: string, type = 'image/png') =>
  post(body, `Content-Type: ${type}\r\nContent-Length: ${body.length}`);

function form(parts: readonly string[], boundary = 'xyz'): string {
  const body = `${parts.map((part) => `--${boundary}\r\nContent-Disposition: form-data; name="a"; filename="a.png"\r\n\r\n${part}\r\n`).join('')}--${boundary}--\r\n`;
  return withLength(body, `multipart/form-data; boundary=${boundary}`);
}

/** Says that it has so many pixels, all of one colour, in a few bytes. */
function bomb(width: number, height: number): Uint8Array {
  const chunk = (type: string, data: Uint8Array) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length, 0);
    out.write(type, 4, 'latin1');
    out.set(data, 8);
    out.writeUInt32BE(crc32(out.subarray(4, 8 + data.length)) >>> 0, 8 + data.length);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const rows = deflateSync(new Uint8Array(Math.min(height * (width + 1), 5_000_000)));
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', rows), chunk('IEND', new Uint8Array())]);
}

type Random = () => number;

/** The ways of being wrong; each makes the bytes of one request. */
function hostility(good: readonly string[]): Readonly<Record<string, (random: Random) => string>> {
  const pick = <T>(list: readonly T[], random: Random) => list[Math.floor(random() * list.length)];
  const mutate = (text: string, random: Random, count = 1 + Math.floor(random() * 8)) => {
    let made = text;
    for (let i = 0; i < count; i++) {
      const at = Math.floor(random() * made.length);
      const kind = random();
      const piece = String.fromCharCode(Math.floor(random() * 256));
      if (kind < 0.5) made = made.slice(0, at) + piece + made.slice(at + 1);
      else if (kind < 0.7) made = made.slice(0, at) + made.slice(at + Math.floor(random() * 20));
      else if (kind < 0.9) made = made.slice(0, at) + piece.repeat(Math.floor(random() * 30)) + made.slice(at);
      else made = made.slice(0, at);
    }
    return made;
  };
  const noise = (random: Random, length: number) => Array.from({ length }, () => String.fromCharCode(Math.floor(random() * 256))).join(''); // biome-ignore format: one thought
  const types = [
    'image/png',
    'image/jpeg',
    'image/../../etc',
    'text/html',
    'multipart/form-data',
    'multipart/form-data; boundary=',
    'a/b; c=d',
    '',
    '∞',
  ];
  const bombs = [bomb(1990, 1990), bomb(2100, 2100), bomb(65_535, 65_535), bomb(2 ** 31 - 1, 1), bomb(0, 0)].map(
    latin1,
  );
  return {
    'a picture with bytes exchanged': (r) => withLength(mutate(pick(good, r), r)),
    'a picture cut short': (r) => withLength(pick(good, r).slice(0, Math.floor(r() * 120))),
    'noise after a signature': (r) =>
      withLength(
        pick(['\x89PNG\r\n\x1a\n', '\xff\xd8\xff\xe0', 'RIFF\x10\0\0\0WEBP', 'GIF89a', 'II*\0'], r) + noise(r, 200),
      ),
    'a bomb': (r) => withLength(pick(bombs, r)),
    'a request with bytes exchanged': (r) => mutate(withLength(pick(good, r)), r),
    'a form with bytes exchanged': (r) => mutate(form([pick(good, r), pick(good, r)]), r),
    'a form with a broken boundary': (r) => form([pick(good, r)], noise(r, 5)),
    'a form of many small files': (r) =>
      form(Array.from({ length: Math.floor(r() * 60) }, () => pick(good, r).slice(0, 30))),
    'a length that lies': (r) =>
      post(pick(good, r), `Content-Length: ${pick(['0', '1', '-1', '1e3', '99999999999', '12 13', '0x10', ''], r)}`),
    'two lengths': (r) =>
      post(pick(good, r), `Content-Length: 10\r\n${pick(['Content-Length: 20', 'Transfer-Encoding: chunked'], r)}`),
    'chunks that lie': (r) =>
      post(
        `${pick(['5', 'ffffffff', '-1', 'zz', '0'], r)}\r\n${pick(good, r)}\r\n0\r\n\r\n`,
        'Transfer-Encoding: chunked',
      ),
    'huge headers': (r) => post('', `X-Huge: ${'a'.repeat(Math.floor(r() * 60_000))}`),
    'many headers': (r) => post('', Array.from({ length: Math.floor(r() * 3000) }, (_, i) => `X-${i}: 1`).join('\r\n')),
    'another type': (r) => withLength(pick(good, r), pick(types, r)),
    'another path': (r) => post(pick(good, r), 'Content-Length: 3', pick(['/../../etc/passwd', '//predict', '/%00', '*', 'http://[::1', '/predict?top=%FF&top=2', `/${'a'.repeat(9000)}`], r)), // biome-ignore format: one thought
    'another language': (r) => pick(['GET', `\x16\x03\x01${noise(r, 60)}`, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', noise(r, 300), 'GET / HTTP/9.9\r\n\r\n', 'POST /predict HTTP/1.1\r\n\r\n'], r), // biome-ignore format: one thought
    'too much': () => withLength('x'.repeat(310_000)),
    'a change of protocol': (r) =>
      post(pick(good, r), `Upgrade: ${pick(['websocket', 'h2c'], r)}\r\nConnection: Upgrade\r\nContent-Length: 10`),
  };
}

const alwaysWhole = new Set([
  'a picture with bytes exchanged',
  'a picture cut short',
  'noise after a signature',
  'a bomb',
  'a form with a broken boundary',
  'a form of many small files',
  'another type',
  'too much',
]);

let count = 0;

it('three thousand hostile requests: each is answered or closed, good ones get their prediction, nothing is left', {
  timeout: 240_000,
}, async () => {
  const { port } = house.server;
  const pictures = await Promise.all(
    Array.from({ length: 6 }, (_, i) => png(i, i % 2 === 0 ? [1, 28, 28] : [3, 20, 30])),
  );
  const ways = Object.entries(hostility(pictures.map(latin1)));
  const random = generator(11);
  const memoryBefore = process.memoryUsage().rss;
  const statuses = new Map<string, Map<number | null, number>>();
  let left = 3000;
  let [good, answered] = [0, 0];
  const client = async () => {
    while (left-- > 0) {
      const [name, make] = ways[left % ways.length];
      // What may never be whole would wait for the time limit: there the client says that nothing more comes.
      const end = !alwaysWhole.has(name);
      const bytes = Buffer.from(make(random), 'latin1');
      const status = statusOf(await rawRequest(port, bytes, { end, timeoutMs: 20_000 }));
      count++;
      const counts = statuses.get(name) ?? new Map<number | null, number>();
      statuses.set(name, counts.set(status, (counts.get(status) ?? 0) + 1));
      if (left % 10 !== 0) continue;
      good++;
      const response = await fetch(`http://127.0.0.1:${port}/predict`, {
        method: 'POST',
        body: pictures[good % pictures.length],
      });
      const answer = (await response.json()) as { predictions?: unknown[] };
      if (response.status === 200 && answer.predictions?.length === 5) answered++;
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  expect(answered).toBe(good);
  const allowed = [null, 200, 400, 404, 405, 408, 413, 415, 431];
  for (const [name, counts] of statuses) {
    for (const [status, count] of counts) expect(allowed, `${name}: ${count} × ${status}`).toContain(status);
  }
  expect(statuses.size).toBe(ways.length);
  for (const name of alwaysWhole) if (name !== 'too much') expect(statuses.get(name)!.has(null), name).toBe(false);
  expect([...statuses.get('a bomb')!.keys()].sort()).toEqual([200, 400, 413]); // 4 million pixels are allowed
  expect([...statuses.get('too much')!.keys()].every((status) => status === 413 || status === null)).toBe(true);

  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)![1]);
  expect([
    value('fovea_queue_pictures'),
    value('fovea_decode_queue_pictures'),
    value('fovea_requests_in_flight'),
  ]).toEqual([0, 0, 1]);
  expect(process.memoryUsage().rss - memoryBefore).toBeLessThan(600e6);
  // Routes are the server's own, whatever was asked for.
  const routes = new Set([...metrics.matchAll(/fovea_requests_total\{route="([^"]*)"/g)].map(([, route]) => route));
  expect([...routes].every((route) => ['/', '/predict', '/metrics', 'other'].includes(route))).toBe(true);
});

it('seven thousand hostile pictures: each gets its own refusal or prediction, alone or in a form with others', {
  timeout: 240_000,
}, async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 24 });
  const left = new Leftovers();
  const corpus = await HostilePictures.make();
  const sound = await png(3);
  const [[best]] = await house.predict.predict(
    [await house.predict.prepare(await decodeImage(sound, { channels: 1 }))],
    { top: 1 },
  );
  const queue = corpus.files(7000, 41);
  const statuses = new Map<number, number>();
  const random = new Draws(42);
  const client = async () => {
    for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
      const { name, bytes } = file;
      count++;
      const start = performance.now();
      const decodes = queue.length % 5 === 0 ? await decodeImage(bytes, { channels: 1, maxPixels: 4_000_000 }).then(() => true, () => false) : null; // biome-ignore format: one thought
      if (random.chance(0.8)) {
        const { status, answer } = await ask(agent, bytes, random.choice(['image/png', 'image/jpeg', 'application/octet-stream'])); // biome-ignore format: one thought
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        expect([200, 400, 413], `${name}: ${JSON.stringify(answer)}`).toContain(status);
        if (status === 200) expect(answer.predictions!.length).toBe(5);
        else expect(answer.error!.message.length).toBeGreaterThan(20);
        if (decodes !== null) expect([name, status === 200]).toEqual([name, decodes]);
      } else {
        // Beside a sound one, which is answered whatever is wrong with the other.
        const form = new FormData();
        for (const part of [bytes, sound]) form.append('picture', new Blob([new Uint8Array(part)]), name);
        const encoded = new Response(form);
        const type = encoded.headers.get('content-type')!;
        const { status, answer } = await ask(agent, Buffer.from(await encoded.arrayBuffer()), type);
        expect([name, status]).toEqual([name, 200]);
        const [odd, own] = answer.pictures!;
        expect(own.predictions![0].class).toBe(best.name);
        expect((odd.predictions === undefined) !== (odd.error === undefined)).toBe(true);
        if (decodes !== null) expect([name, odd.error === undefined]).toEqual([name, decodes]);
      }
      expect(performance.now() - start).toBeLessThan(10_000);
    }
  };
  await Promise.all(Array.from({ length: 24 }, client));
  agent.destroy();
  for (const status of [200, 400]) expect(statuses.get(status)).toBeGreaterThan(500);
  expect(statuses.get(413)).toBeGreaterThan(0);
  expect(count).toBe(10_000);
  const { temporaryFiles, openFiles } = left.end();
  expect(temporaryFiles).toEqual([]);
  expect(openFiles).toBeLessThan(100); // sockets that close later
  expect(left.peakGrowth).toBeLessThan(500 * 2 ** 20);
});

interface Answer {
  readonly predictions?: readonly { readonly class: string }[];
  readonly error?: { readonly code: string; readonly message: string };
  readonly pictures?: readonly Answer[];
}

/** Over connections that are kept. `rest`: the second half of the body waits for it. */
async function ask(
  agent: Agent,
  body: Uint8Array,
  type: string,
  rest: Promise<void> | null = null,
): Promise<{ status: number; answer: Answer }> {
  const headers = { 'Content-Type': type, 'Content-Length': body.length };
  const asked = request(`${house.url}/predict`, { method: 'POST', agent, headers });
  if (rest === null) asked.end(body);
  else {
    asked.write(body.subarray(0, body.length >> 1));
    await rest;
    asked.end(body.subarray(body.length >> 1));
  }
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return { status: response.statusCode!, answer: JSON.parse(text) as Answer };
}

it('64 clients at once, one in five bad: every good request gets its own answer', { timeout: 120_000 }, async () => {
  const { port } = house.server;
  const pictures = await Promise.all(Array.from({ length: 16 }, (_, i) => png(i)));
  const { predict } = house;
  const wanted: string[] = [];
  for (const bytes of pictures) {
    const [[best]] = await predict.predict([await predict.prepare(await decodeImage(bytes, { channels: 1 }))], {
      top: 1,
    });
    wanted.push(best.name);
  }
  const random = generator(5);
  let [good, right] = [0, 0];
  const client = async () => {
    for (let i = 0; i < 15; i++) {
      if (random() < 0.2) {
        const body = latin1(pictures[0]).slice(0, Math.floor(random() * 100));
        const lie = post(body, `Content-Type: image/png\r\nContent-Length: ${body.length + 50}`);
        await rawRequest(port, Buffer.from(random() < 0.5 ? lie : withLength(body), 'latin1'), { end: true });
        continue;
      }
      good++;
      const which = Math.floor(random() * pictures.length);
      const response = await fetch(`http://127.0.0.1:${port}/predict?top=1`, { method: 'POST', body: pictures[which] });
      const { predictions } = (await response.json()) as { predictions?: { class: string }[] };
      if (response.status === 200 && predictions![0].class === wanted[which]) right++;
    }
  };
  await Promise.all(Array.from({ length: 64 }, client));
  expect(good).toBeGreaterThan(600);
  expect(right).toBe(good);
});

it('is healthy after all that, and closes when it is asked to: who was heard gets an answer', async () => {
  const health = await fetch(`${house.url}/healthz`);
  expect([health.status, ((await health.json()) as { status: string }).status]).toEqual([200, 'ok']);
  // Half of what each has to say; some never say more.
  const picture = await png(1);
  const agent = new Agent({ maxSockets: 32 });
  let goOn = () => {};
  const rest = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const asked = Array.from({ length: 32 }, () => ask(agent, picture, 'image/png', rest));
  const silent = Array.from({ length: 8 }, () => rawRequest(house.server.port, post('half', 'Content-Length: 50')));
  const heard = async () =>
    (await (await fetch(`${house.url}/metrics`)).text()).includes('fovea_requests_in_flight 41\n');
  await vi.waitUntil(heard, { timeout: 2500 });
  const start = performance.now();
  const stopped = house.server.stop({ withinMs: 5000 });
  goOn();
  expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(asked.map(() => 200));
  await stopped;
  expect(performance.now() - start).toBeLessThan(6000);
  expect((await Promise.all(silent)).map(statusOf)).toEqual(silent.map(() => 408));
  await expect(fetch(`${house.url}/healthz`)).rejects.toThrow();
});

function generator(seed: number): Random {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
