/** A bar for one long piece of work with an estimate of the time left: on a terminal only, gone when the work is done. */

import type { SingleBar } from 'cli-progress';
import pc from 'picocolors';
import { duration } from './output.js';

export type Report = (done: number, total: number) => void;

/** Runs `work`, which reports how far it is. Without `live` nothing is drawn. */
export async function withProgress<T>(title: string, live: boolean, work: (report: Report) => Promise<T>): Promise<T> {
  if (!live) return work(() => {});
  const { SingleBar } = await import('cli-progress');
  const started = performance.now();
  let bar: SingleBar | null = null;
  const report: Report = (done, total) => {
    if (bar === null) {
      bar = new SingleBar({
        format: (_options, { progress }) => {
          const spent = (performance.now() - started) / 1000;
          const left = progress > 0 ? `, ${duration((spent * (1 - progress)) / progress)} left` : '';
          return `${drawn(progress)} ${title}  ${pc.dim(`${Math.floor(100 * progress)} %${left}`)}`;
        },
        hideCursor: true,
        clearOnComplete: true,
        fps: 10,
        linewrap: false,
        gracefulExit: false,
        stream: process.stderr,
      });
      bar.start(total, done);
    }
    bar.setTotal(total);
    bar.update(done);
  };
  try {
    return await work(report);
  } finally {
    (bar as SingleBar | null)?.stop();
  }
}

function drawn(share: number): string {
  const width = 24;
  const done = Math.round(Math.min(1, share) * width);
  return `${pc.cyan('━'.repeat(done))}${pc.dim('━'.repeat(width - done))}`;
}
