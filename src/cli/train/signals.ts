/** Ctrl-C while training. */

import type { Trainer } from '../../train/index.js';
import { exitCodes } from '../usage.js';

/** The first signal ends training after the step under way, the second at once. */
export class Signals {
  exitCode: number = exitCodes.interrupted;
  readonly #handlers: [NodeJS.Signals, () => void][];

  constructor(trainer: Trainer, json: boolean) {
    let count = 0;
    const handle = (exitCode: number) => () => {
      this.exitCode = exitCode;
      if (++count > 1) process.exit(exitCode);
      if (!json) process.stderr.write('\nstopping after this step (again: at once, up to the last checkpoint)\n');
      trainer.stop('interrupted', { now: true });
    };
    this.#handlers = [
      ['SIGINT', handle(exitCodes.interrupted)],
      ['SIGTERM', handle(exitCodes.terminated)],
    ];
    for (const [signal, handler] of this.#handlers) process.on(signal, handler);
  }

  remove(): void {
    for (const [signal, handler] of this.#handlers) process.off(signal, handler);
  }
}
