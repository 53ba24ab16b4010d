/**
 * Whether a program runs on the team or in the calling thread. Waking a team, meeting in barriers and hearing that it is done takes 0.1 ms on an idle machine and
 * many times that where others want the cores, so what one thread computes in such a time is better computed by the thread that wants it. How long a program takes
 * is not known before it has run: its first runs are timed, some here, some there. Results do not depend on the place, for no thread's part in them does.
 */

import { eventLoopTurn } from './host.js';

/** Runs timed in each place. The first in each finds cold caches. */
const TRIALS = 5;
/** What takes the team longer is never tried in the calling thread, which others may be waiting for. */
const LONGEST_MS = 0.5;
/** The calling thread may take so many times as long as the team: it leaves the other cores free, and hears of the end at once. */
const WORTH = 2;

export class PlaceChoice {
  /** Where the next run takes place. */
  next: 'team' | 'here' = 'team';
  private settled = false;
  private runs = 0;
  private readonly best = { team: Number.POSITIVE_INFINITY, here: Number.POSITIVE_INFINITY };

  /** How long the run took that took place where `next` said. */
  took(milliseconds: number): void {
    if (this.settled) return;
    this.best[this.next] = Math.min(this.best[this.next], milliseconds);
    this.runs++;
    if (this.runs < TRIALS) return;
    if (this.runs === TRIALS) {
      this.settled = this.best.team > LONGEST_MS;
      this.next = this.settled ? 'team' : 'here';
    } else if (this.runs === 2 * TRIALS) {
      this.settled = true;
      this.next = this.best.here <= WORTH * this.best.team ? 'here' : 'team';
    }
  }
}

/** How long the calling thread may compute, run after run, while others wait for the event loop: less than a frame of a page. */
const PATIENCE_MS = 8;

/** Programs that run in the calling thread come back before the event loop has turned. A loop of them would keep everybody else waiting. */
export class EventLoopManners {
  private turn: Promise<void> | null = null;
  private since = 0;

  /** After a run in the calling thread: null, or what to wait for. */
  giveWay(): Promise<void> | null {
    if (this.turn !== null) return performance.now() - this.since > PATIENCE_MS ? this.turn : null;
    this.since = performance.now();
    this.turn = eventLoopTurn().then(() => {
      this.turn = null;
    });
    return null;
  }
}
