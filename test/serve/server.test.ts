/** The server over real sockets: what it answers, what it refuses and how, its description of itself, and how it stops. */

import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeImage, encodePng } from '../../src/io/all.node.js';
import { classes, png, rawRequest, type Served, serveLenet, statusOf } from './house.js';

interface Guess {
  class: string;
  index: number;
  probability: number;
}

interface Answer {
  predictions?: Guess[];
  pictures?: { file: string; predictions?: Guess[]; error?: { code: string; message: string } }[];
  model?: string;
  milliseconds?: number;
  error?: { code: string; message: string };
}

let house: Served;
beforeAll(async () => {
  house = await serveLenet({ maxBytes: 200_000, maxPixels: 1_000_000, timeoutMs: 1500, maxBatch: 8 });
});
afterAll(() => house[Symbol.asyncDispose]());

async function post(
  body: BodyInit,
  { path = '/predict', headers = {} as Record<string, string>, url = house.url } = {},
) {
  const response = await fetch(`${url}${path}`, { method: 'POST', body, headers });
  return { status: response.status, headers: response.headers, answer: (await response.json()) as Answer };
}

async function expected(bytes: Uint8Array, top = 5) {
  const { predict } = house;
  const picture = await predict.prepare(await decodeImage(bytes, { channels: predict.channels }));
  return (await predict.predict([picture], { top }))[0];
}

function expectGuesses(guesses: Guess[] | undefined, wanted: Awaited<ReturnType<typeof expected>>): void {
  expect(guesses?.map((guess) => guess.class)).toEqual(wanted.map(({ name }) => name));
  guesses!.forEach(({ index, probability }, i) => {
    expect(index).toBe(wanted[i].index);
    expect(probability).toBeCloseTo(wanted[i].probability, 5);
  });
}

describe('a picture', () => {
  it.each([
    ['image/png', '/predict'],
    ['application/octet-stream', '/'],
    ['application/x-www-form-urlencoded', '/predict'], // what curl --data-binary says
    ['IMAGE/PNG; charset=x', '/predict'],
  ])('as %s to %s gets what fovea predict says', async (type, path) => {
    const bytes = await png(1);
    const { status, answer } = await post(bytes, { path, headers: { 'Content-Type': type } });
    expect(status).toBe(200);
    expectGuesses(answer.predictions, await expected(bytes));
    expect(answer.model).toBe('lenet5');
    expect(answer.milliseconds).toBeGreaterThan(0);
  });

  it('of another size and in colours is brought to the model as fovea predict does it', async () => {
    const bytes = await png(2, [3, 60, 90]);
    const { answer } = await post(bytes);
    expectGuesses(answer.predictions, await expected(bytes));
  });

  it('gets as many classes as are asked for', async () => {
    const bytes = await png(3);
    expect((await post(bytes, { path: '/predict?top=2' })).answer.predictions).toHaveLength(2);
    const all = (await post(bytes, { path: '/predict?top=100' })).answer.predictions!;
    expect(all.map((guess) => guess.class).sort()).toEqual(classes);
    expect(all.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 4);
    for (const top of ['0', '-1', 'all', '1e3', '']) {
      const { status, answer } = await post(bytes, { path: `/predict?top=${top}` });
      expect([status, answer.error?.message]).toEqual([
        400,
        'top is how many classes to answer with: a whole number from 1 to 7.',
      ]);
    }
  });

  it('in a form gets the same answer, several get one each, and a bad one among them is named', async () => {
    const form = new FormData();
    form.append('picture', new Blob([await png(4)], { type: 'image/png' }), 'four.png');
    const one = await post(form);
    expect(one.status).toBe(200);
    expectGuesses(one.answer.predictions, await expected(await png(4)));

    form.append('note', 'text fields are passed over');
    form.append('picture', new Blob(['no picture']), 'note.txt');
    form.append('last', new Blob([await png(5)]));
    const { status, answer } = await post(form);
    expect(status).toBe(200);
    const [first, second, third] = answer.pictures!;
    expect([first.file, second.file, third.file]).toEqual(['four.png', 'note.txt', 'last']);
    expectGuesses(first.predictions, await expected(await png(4)));
    expectGuesses(third.predictions, await expected(await png(5)));
    expect(second.error?.code).toBe('not_a_picture');
  });

  it('among many at once gets its own answer', async () => {
    const bytes = await Promise.all(Array.from({ length: 40 }, (_, i) => png(i)));
    const answers = await Promise.all(bytes.map((body) => post(body)));
    for (const [i, { status, answer }] of answers.entries()) {
      expect(status).toBe(200);
      expectGuesses(answer.predictions, await expected(bytes[i]));
    }
  });
});

describe('what is refused', () => {
  const refusal = async (body: BodyInit, headers?: Record<string, string>) => {
    const { status, answer } = await post(body, { headers });
    return [status, answer.error?.code, answer.error?.message];
  };

  it('bytes that are no picture, a picture cut short, an empty body', async () => {
    const bytes = await png(6, [3, 200, 200]);
    for (const body of ['hello', bytes.slice(0, bytes.length >> 1), '']) {
      const [status, code, message] = await refusal(body, { 'Content-Type': 'image/png' });
      expect([status, code]).toEqual([400, 'not_a_picture']);
      expect(message).toMatch(/^The picture .*\. Send a JPEG, PNG, WebP, GIF, AVIF or TIFF\.$/);
    }
  });

  it('a body that is announced as too large, and one that turns out to be', async () => {
    const message = 'The body is larger than 200,000 bytes, the limit of this server (--max-bytes).';
    expect(await refusal(new Uint8Array(200_001))).toEqual([413, 'too_large', message]);
    const chunk = `${(50_000).toString(16)}\r\n${'x'.repeat(50_000)}\r\n`;
    const head = 'POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
    expect(await rawRequest(house.server.port, head + chunk.repeat(5))).toContain(message);
  });

  it('a body that is too large, before it is sent, where the client asks first', async () => {
    const head = (length: number) =>
      `POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n`;
    const refused = await rawRequest(house.server.port, `${head(200_001)}\r\n`); // ends when the server closes
    expect(refused).toMatch(/^HTTP\/1\.1 413 /);
    expect(refused).toMatch(/connection: close/i);
    const bytes = await png(7);
    const taken = await rawRequest(
      house.server.port,
      Buffer.concat([Buffer.from(`${head(bytes.length)}Connection: close\r\n\r\n`), bytes]),
    );
    expect(taken).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  });

  it('more pixels than allowed, told by the header alone', async () => {
    const black = await encodePng({ data: new Uint8Array(1200 * 1200), shape: [1, 1200, 1200] });
    const [status, code, message] = await refusal(new Uint8Array(black));
    expect([status, code]).toEqual([413, 'too_large']);
    expect(message).toMatch(/^The picture .*1200 × 1200 pixels, the limit is 1000000\.$/);
  });

  it('bodies of another type, compressed ones, forms without files or with a wrong boundary', async () => {
    expect(await refusal('{}', { 'Content-Type': 'application/json' })).toEqual([
      415,
      'unsupported_media_type',
      'Content-Type "application/json" holds no picture. Send the file\'s bytes as image/jpeg, image/png … or application/octet-stream, or files as multipart/form-data.',
    ]);
    expect((await refusal(await png(1), { 'Content-Encoding': 'gzip' }))[0]).toBe(415);
    const form = new FormData();
    form.append('a', 'b');
    expect(await refusal(form)).toEqual([
      400,
      'bad_request',
      'The form has no file. Send one, as curl -F picture=@cat.jpg does.',
    ]);
    for (const type of ['multipart/form-data', 'multipart/form-data; boundary=nowhere']) {
      expect((await refusal('--else\r\n', { 'Content-Type': type }))[1]).toBe('bad_request');
    }
    const many = new FormData();
    for (let i = 0; i < 33; i++) many.append('a', new Blob(['x']), 'x');
    expect(await refusal(many)).toEqual([413, 'too_large', 'The form has 33 files; up to 32 are taken at once.']);
  });

  it('other paths and methods', async () => {
    const get = async (path: string, method = 'GET') => (await fetch(house.url + path, { method })).status;
    expect(
      await Promise.all([get('/nothing'), get('/../../etc/passwd'), get('/%2e%2e/x'), get('/predict/'), get('//')]),
    ).toEqual(new Array(5).fill(404));
    expect(await Promise.all([get('/predict'), get('/healthz', 'DELETE'), get('/predict', 'PUT')])).toEqual([
      405, 405, 405,
    ]);
  });

  it('a body that does not arrive in time, headers that do not, headers without end', async () => {
    const { port } = house.server;
    const late = await rawRequest(port, 'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc');
    expect(statusOf(late)).toBe(408);
    expect(late).toContain('The body did not arrive within 1.5 s.');
    expect(statusOf(await rawRequest(port, 'POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: '))).toBe(408);
    const long = await rawRequest(port, `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(20_000)}`);
    expect(statusOf(long)).toBe(431);
    expect(statusOf(await rawRequest(port, 'HELO\r\n\r\n'))).toBe(400);
  });
});

describe('a server with a token', () => {
  it('answers those who know it, on the paths that compute or count', async () => {
    await using guarded = await serveLenet({ token: 'open sesame'.replace(' ', '-') });
    const { url } = guarded;
    const ask = async (authorization?: string) => {
      const headers = authorization === undefined ? {} : { Authorization: authorization };
      return post(await png(1), { url, headers: headers as Record<string, string> });
    };
    const none = await ask();
    expect([none.status, none.headers.get('www-authenticate'), none.answer.error?.message]).toEqual([
      401,
      'Bearer',
      'The server needs a token: send the header Authorization: Bearer TOKEN.',
    ]);
    for (const wrong of ['Bearer open-sesam', 'Bearer open-sesame1', 'Basic open-sesame', 'Bearer ', 'open-sesame']) {
      expect((await ask(wrong)).status).toBe(401);
    }
    expect((await ask('Bearer open-sesame')).status).toBe(200);
    expect((await fetch(`${url}/metrics`)).status).toBe(401);
    expect((await fetch(`${url}/metrics`, { headers: { Authorization: 'bearer open-sesame' } })).status).toBe(200);
    for (const path of ['/healthz', '/openapi.json', '/']) expect((await fetch(url + path)).status).toBe(200);
  });
});

describe('a server that cannot be', () => {
  it.each([
    [{ token: 'two words' }, 'a token travels in a header'],
    [{ maxBytes: 0 }, 'serve: maxBytes is a number from 1 up, not 0'],
    [{ timeoutMs: Number.NaN }, 'serve: timeoutMs is a number from 1 up, not NaN'],
    [{ host: '203.0.113.7' }, 'this machine has no such address'],
  ])('is refused: %j', async (options, message) => {
    await expect(serveLenet(options)).rejects.toThrow(message);
  });
});

describe('a busy server', () => {
  it('takes so many pictures and no more, and says when to come again', async () => {
    await using small = await serveLenet({ queue: 3, timeoutMs: 3000 });
    const { port } = small.server;
    // Three bodies that do not come to their end fill the queue.
    const held = Array.from({ length: 3 }, () =>
      rawRequest(port, 'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc'),
    );
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { status, headers, answer } = await post(await png(1), { url: small.url });
    expect([status, headers.get('retry-after'), answer.error?.code]).toEqual([503, '1', 'busy']);
    expect(answer.error?.message).toBe('The server is busy: 3 pictures wait already. Try again in a second.');
    await Promise.all(held);
    expect((await post(await png(1), { url: small.url })).status).toBe(200);
  });
});

describe('what it says of itself', () => {
  it('healthz, metrics that count what happened, and a page that loads nothing from elsewhere', async () => {
    await using fresh = await serveLenet();
    const { url } = fresh;
    expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok', model: 'lenet5' });
    await post(await png(1), { url });
    await post(new TextEncoder().encode('no picture'), { url });
    await fetch(`${url}/some/where`);
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const lines = (await response.text()).split('\n');
    for (const line of [
      'fovea_requests_total{route="/predict",status="200"} 1',
      'fovea_requests_total{route="/predict",status="400"} 1',
      'fovea_requests_total{route="other",status="404"} 1',
      'fovea_request_duration_seconds_count{route="/predict"} 2',
      'fovea_batch_pictures_sum 1',
      'fovea_decode_errors_total 1',
      'fovea_decode_duration_seconds_count 1',
      'fovea_queue_pictures 0',
      'fovea_requests_in_flight 1',
    ]) {
      expect(lines).toContain(line);
    }
    expect(lines.some((line) => line.startsWith('process_resident_memory_bytes '))).toBe(true);
    for (const line of lines) expect(line).toMatch(/^(#.*|[a-z0-9_]+(\{[^}]*\})? (\S+)|)$/);

    const page = await fetch(`${url}/`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    const html = await page.text();
    expect(html).toContain('data-backend="server"');
    expect(html.match(/(?:src|href)="(?!\.\/|data:)[^"]*"/g)).toBeNull();
  });
});

describe('stopping', () => {
  it('answers what has come, refuses what comes later, and closes', async () => {
    const stopping = await serveLenet({ timeoutMs: 3000 });
    const { port } = stopping.server;
    const body = await png(7);
    let finish = () => {};
    const answer = new Promise<number>((resolve, reject) => {
      const sent = request(
        { port, method: 'POST', path: '/predict', headers: { 'Content-Length': body.length } },
        (response) => {
          response.resume();
          expect(response.headers.connection).toBe('close');
          response.on('end', () => resolve(response.statusCode!));
        },
      );
      sent.on('error', reject);
      sent.write(body.subarray(0, 50));
      finish = () => sent.end(body.subarray(50));
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const stopped = stopping.server.stop();
    await expect(fetch(`${stopping.url}/healthz`)).rejects.toThrow();
    finish();
    expect(await answer).toBe(200);
    await stopped;
    await stopping[Symbol.asyncDispose]();
  });
});
