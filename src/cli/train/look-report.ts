/** What is printed while pictures are looked at: progress, then the audit in a few lines, and later each picture that could not be read. */

import type { SingleBar } from 'cli-progress';
import pc from 'picocolors';
import { auditLines, type PictureAudit, type SkippedPicture } from '../../data/all.node.js';
import { grouped } from '../../util/counts.js';
import type { OpenedData } from '../data/opened.js';
import { print, printable, printJson } from '../output.js';

/** Of pictures that cannot be read while training, as many are named. */
const mostNamed = 10;

export class LookReport {
  #bar: Promise<SingleBar | null> | null = null;
  #skipped = 0;

  constructor(readonly json: boolean) {}

  hooks() {
    return {
      onAuditProgress: (done: number, total: number) => void this.#progress(done, total),
      onAudit: (audit: PictureAudit) => this.#audit(audit),
      onSkip: (skipped: SkippedPicture) => this.#skip(skipped),
      onUnreadable: (name: string, reason: string) => this.#skip({ name, reason }),
    };
  }

  /** A sample that is not used. */
  leftOut(name: string, reason: string): void {
    this.#skipped++;
    if (this.json) printJson({ event: 'left-out', name, reason });
    else this.#tell('left out', `${name}: ${reason}`);
  }

  /** How the samples were divided. */
  close({ train, validation, test }: OpenedData): void {
    const counts = { train: train.length, validation: validation?.length ?? 0, test: test?.length ?? 0 };
    if (this.json) printJson({ event: 'parts', ...counts });
    else
      print(
        `${pc.dim(`divided    ${grouped(counts.train)} to train with, ${grouped(counts.validation)} for validation, ${grouped(counts.test)} for the test`)}\n`,
      );
  }

  async #progress(done: number, total: number): Promise<void> {
    if (this.json || process.stdout.isTTY !== true) return;
    this.#bar ??= import('cli-progress').then(({ SingleBar, Presets }) => {
      const bar = new SingleBar(
        {
          format: 'looking at the pictures  {bar} {value}/{total}  {eta_formatted} left',
          clearOnComplete: true,
          hideCursor: true,
        },
        Presets.shades_classic,
      );
      bar.start(total, 0);
      return bar;
    });
    const bar = await this.#bar;
    bar?.update(done);
    if (done === total) bar?.stop();
  }

  #audit(audit: PictureAudit): void {
    if (this.json) printJson({ event: 'audit', ...audit });
    else for (const [i, line] of auditLines(audit).entries()) print(i === 0 ? pc.bold(line) : line);
  }

  #skip({ name, reason, replacedBy }: Pick<SkippedPicture, 'name' | 'reason'> & Partial<SkippedPicture>): void {
    this.#skipped++;
    if (this.json) printJson({ event: 'skipped', name, reason, replacedBy });
    else this.#tell('skipped', `${name}: ${reason}`);
  }

  #tell(what: string, text: string): void {
    if (this.#skipped > mostNamed + 1) return;
    const shown = this.#skipped <= mostNamed ? printable(text) : 'more, not named here';
    process.stderr.write(`${pc.yellow(what)}  ${shown}\n`);
  }
}
