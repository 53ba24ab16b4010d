/** What the server counts, in Prometheus' words: https://prometheus.io/docs/practices/naming. */

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  /** `route` is one of the server's own, so that nobody can fill the memory with names. */
  request(request: { route: string; status: number; seconds: number }): void;
  batch(batch: { pictures: number; size: number; milliseconds: number }): void;
  /** From a picture's bytes to what the model takes, waiting for a worker included. */
  decoded(seconds: number): void;
  decodeError(): void;
}

/** `gauges` are asked when the text is made. */
export function makeMetrics(gauges: {
  waiting: () => number;
  decoding: () => number;
  inFlight: () => number;
}): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const requests = new Counter({
    name: 'fovea_requests_total',
    help: 'Requests answered, by route and status; 499 is a client that left before its answer.',
    labelNames: ['route', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'fovea_request_duration_seconds',
    help: 'From the request line to the end of the answer.',
    labelNames: ['route'],
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
    registers,
  });
  // Looking one up by its labels takes longer than counting.
  const counterOf = remembered((route: string, status: number) => requests.labels({ route, status }));
  const durationOf = remembered((route: string) => durations.labels({ route }));
  const batches = new Histogram({
    name: 'fovea_batch_pictures',
    help: 'Pictures that were computed together.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128],
    registers,
  });
  const computing = new Histogram({
    name: 'fovea_batch_duration_seconds',
    help: 'Computing one batch, by its size after padding.',
    labelNames: ['size'],
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2],
    registers,
  });
  const decoding = new Histogram({
    name: 'fovea_decode_duration_seconds',
    help: 'Decoding a picture and bringing it to size, waiting for a worker included.',
    buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    registers,
  });
  const broken = new Counter({
    name: 'fovea_decode_errors_total',
    help: 'Files that were no pictures, damaged, or too large.',
    registers,
  });
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value());
      },
    });
  gauge('fovea_queue_pictures', 'Pictures that are decoded and wait to be computed.', gauges.waiting);
  gauge('fovea_decode_queue_pictures', 'Pictures that wait to be decoded.', gauges.decoding);
  gauge('fovea_requests_in_flight', 'Requests being answered.', gauges.inFlight);
  return {
    contentType: register.contentType,
    text: () => register.metrics(),
    request: ({ route, status, seconds }) => {
      counterOf(route, status).inc();
      durationOf(route).observe(seconds);
    },
    batch: ({ pictures, size, milliseconds }) => {
      batches.observe(pictures);
      computing.observe({ size }, milliseconds / 1000);
    },
    decoded: (seconds) => decoding.observe(seconds),
    decodeError: () => broken.inc(),
  };
}

function remembered<Key extends readonly unknown[], T>(make: (...key: Key) => T): (...key: Key) => T {
  const made = new Map<string, T>();
  return (...key) => {
    const name = key.join(' ');
    let it = made.get(name);
    if (it === undefined) made.set(name, (it = make(...key)));
    return it;
  };
}
