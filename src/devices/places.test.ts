import { describe, expect, it, vi } from 'vitest';
import { EventLoopManners, PlaceChoice } from './places.js';

/** Runs that take so long; where they took place. */
function play(team: (run: number) => number, here: (run: number) => number, runs = 16): string {
  const choice = new PlaceChoice();
  let places = '';
  for (let run = 0; run < runs; run++) {
    const { next } = choice;
    places += next[0];
    choice.took(next === 'team' ? team(run) : here(run));
  }
  return places;
}

describe('where a program runs', () => {
  it('in the calling thread, if it takes no more than twice as long there', () => {
    expect(play(() => 0.1, () => 0.15)).toBe('ttttthhhhhhhhhhh'); // biome-ignore format: one thought
    expect(play(() => 0.1, () => 0.25)).toBe('ttttthhhhhtttttt'); // biome-ignore format: one thought
  });

  it('on the team, untried, if that takes longer than anybody may be kept waiting', () => {
    expect(play(() => 0.6, () => 0)).toBe('tttttttttttttttt'); // biome-ignore format: one thought
  });

  it('is judged by the best of some runs: the first finds cold caches, others meet with busy moments', () => {
    expect(play((run) => (run === 3 ? 0.2 : 30), (run) => (run === 7 ? 0.3 : 40))).toBe('ttttthhhhhhhhhhh'); // biome-ignore format: one thought
  });
});

describe('runs in the calling thread', () => {
  it('need not wait while the event loop turns anyway', async () => {
    const manners = new EventLoopManners();
    for (let i = 0; i < 20; i++) {
      expect(manners.giveWay()).toBeNull();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  });

  it('let the event loop turn when they have kept it for some milliseconds', async () => {
    const manners = new EventLoopManners();
    const heard = vi.fn();
    setTimeout(heard, 0);
    let runs = 0;
    const start = performance.now();
    for (; heard.mock.calls.length === 0 && performance.now() - start < 5000; runs++) {
      const busy = performance.now() + 1;
      while (performance.now() < busy);
      const turn = manners.giveWay();
      if (turn !== null) await turn;
      else await Promise.resolve();
    }
    expect(heard).toHaveBeenCalled();
    expect(runs).toBeGreaterThanOrEqual(8);
    expect(manners.giveWay()).toBeNull();
  });
});
