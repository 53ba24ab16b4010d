/**
 * Looks at every picture of a set before it is trained on: which cannot be read, which are there twice, under two labels or in two parts, which are tiny, and
 * how the classes compare. Says what will be done about each; does nothing itself.
 */

import type { DecodeLimits } from '../../io/picture.node.js';
import type { Preprocessing } from '../../models/index.js';
import { numel } from '../../util/shape.js';
import type { PictureCache } from './cache.js';
import { cacheSignature, chunks, limitsOf, workingKey } from './dataset.node.js';
import { fingerprintDistance } from './look.js';
import type { CachedPlace, PictureFacts, PictureSpec } from './pipeline.node.js';
import type { DecodePool } from './pool.node.js';
import type { PictureSample, PictureSet } from './sample.js';

export interface AuditOptions extends DecodeLimits {
  readonly pool: DecodePool;
  /** Reads and decodes every picture; false looks at headers only and finds no duplicates. Left out: true up to 20,000 pictures. */
  readonly full?: boolean;
  /** Of the model that will be trained: pictures smaller than its crop are counted. */
  readonly preprocessing?: Preprocessing;
  /** Filled on the way, for the data sets that will be made with the same preprocessing. */
  readonly cache?: PictureCache | null;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface AuditedClass {
  readonly name: string;
  readonly count: number;
  /** Of these, how many cannot be read. */
  readonly broken: number;
}

export interface DuplicateGroup {
  readonly names: readonly string[];
  /** Classes they are in; more than one is a contradiction. */
  readonly classes: readonly string[];
  /** Parts they are in; more than one makes a test easier than it looks. */
  readonly splits: readonly string[];
}

export interface NearDuplicate {
  readonly names: readonly [string, string];
  readonly splits: readonly [string, string];
}

/** What will be done: `left out` of training and tests, `kept`, `weighted` (classes count equally), or `together` (kept in one part). */
export type AuditAction = 'left out' | 'kept' | 'together';

export interface AuditFinding {
  readonly kind:
    | 'broken'
    | 'contradiction'
    | 'leak'
    | 'duplicates'
    | 'near duplicates'
    | 'tiny'
    | 'small'
    | 'elongated'
    | 'imbalance'
    | 'few'
    | 'left out';
  readonly count: number;
  /** A sentence: what it is and what is done. */
  readonly text: string;
  readonly action: AuditAction;
  /** Some of the samples or classes. */
  readonly examples: readonly string[];
}

export interface PictureAudit {
  readonly format: PictureSet['format'];
  readonly path: string;
  readonly count: number;
  readonly full: boolean;
  readonly classes: readonly AuditedClass[];
  readonly splits: Readonly<Record<string, number>>;
  readonly formats: Readonly<Record<string, number>>;
  /** Of the pictures that can be read; null when there is none. */
  readonly sizes: {
    readonly smallest: readonly [height: number, width: number];
    readonly median: readonly [height: number, width: number];
    readonly largest: readonly [height: number, width: number];
  } | null;
  readonly bytes: number;
  readonly broken: readonly { readonly name: string; readonly reason: string }[];
  readonly duplicates: readonly DuplicateGroup[];
  readonly nearDuplicates: readonly NearDuplicate[];
  readonly tiny: readonly string[];
  readonly small: readonly string[];
  readonly elongated: readonly string[];
  /** Share without colours. */
  readonly greyShare: number;
  /** The largest class's count over the smallest's. */
  readonly imbalance: number;
  /** Classes with fewer than five readable pictures. */
  readonly fewPictures: readonly string[];
  /** Names of samples that training and tests do without: broken ones, and pictures under contradicting labels. */
  readonly leaveOut: readonly string[];
  readonly findings: readonly AuditFinding[];
}

const fullUpTo = 20_000;
const tinySide = 32;
const elongatedRatio = 5;
const fewestPictures = 5;
const weightedFrom = 3;
const nearBits = 6;
const mostNear = 1000;
const picturesPerJob = 16;

/** @throws {ConfigError} without sharp. Pictures that cannot be read are among the findings. */
export async function auditPictures(set: PictureSet, options: AuditOptions): Promise<PictureAudit> {
  const { samples } = set;
  const full = options.full ?? samples.length <= fullUpTo;
  const facts = await lookAtAll(samples, full, options);
  const broken: { name: string; reason: string }[] = [];
  const seen: Seen[] = [];
  for (const [i, fact] of facts.entries()) {
    if (typeof fact === 'string') broken.push({ name: samples[i].name, reason: fact });
    else seen.push({ sample: samples[i], fact });
  }
  const duplicates = full ? findDuplicates(seen, set.classes) : [];
  const nearDuplicates = full ? findNear(seen) : [];
  const classes = countClasses(set, new Set(broken.map(({ name }) => name)));
  const readable = classes.map(({ count, broken: lost }) => count - lost);
  const crop = options.preprocessing?.crop;
  const namesWhere = (test: (fact: PictureFacts) => boolean) =>
    seen.filter(({ fact }) => test(fact)).map(({ sample }) => sample.name);
  const isTiny = ({ height, width }: PictureFacts) => Math.min(height, width) < tinySide;
  const target = crop ?? [0, 0];
  const tiny = namesWhere(
    (fact) => isTiny(fact) && (crop === undefined || fact.height < target[0] || fact.width < target[1]),
  );
  const small = namesWhere((fact) => !isTiny(fact) && (fact.height < target[0] || fact.width < target[1]));
  const contradicting = duplicates.filter((group) => group.classes.length > 1).flatMap(({ names }) => names);
  const audit = {
    format: set.format,
    path: set.path,
    count: samples.length,
    full,
    classes,
    splits: tally(samples.map(({ split }) => split ?? 'undivided')),
    formats: tally(seen.map(({ fact }) => fact.format)),
    sizes: sizesOf(seen),
    bytes: seen.reduce((sum, { fact }) => sum + fact.bytes, 0),
    broken,
    duplicates,
    nearDuplicates,
    tiny,
    small,
    elongated: namesWhere(({ height, width }) => Math.max(height, width) > elongatedRatio * Math.min(height, width)),
    greyShare: seen.length === 0 ? 0 : seen.filter(({ fact }) => fact.grey).length / seen.length,
    imbalance: Math.max(...readable) / Math.max(1, Math.min(...readable)),
    fewPictures: classes.filter(({ count, broken: lost }) => count - lost < fewestPictures).map(({ name }) => name),
    leaveOut: [...new Set([...broken.map(({ name }) => name), ...contradicting])],
  };
  return { ...audit, findings: findingsOf(audit, set) };
}

interface Seen {
  readonly sample: PictureSample;
  readonly fact: PictureFacts;
}

/** Facts, or why there are none. In order, so that neighbours in an archive are read together. */
async function lookAtAll(
  samples: readonly PictureSample[],
  full: boolean,
  { pool, cache = null, preprocessing = looking, onProgress, ...limits }: AuditOptions,
): Promise<(PictureFacts | string)[]> {
  const channels = preprocessing.mean.length === 1 ? 1 : 3;
  const spec: PictureSpec = { channels, preprocessing, augment: [], ...limitsOf(limits) };
  const id = pool.addSpec(spec, cache);
  const signature = cacheSignature(spec);
  const facts: (PictureFacts | string)[] = [];
  let done = 0;
  const put = (i: number, place: CachedPlace | null) => {
    if (place !== null) cache?.put(signature + workingKey(samples[i]), place);
  };
  try {
    const jobs = chunks(samples, picturesPerJob);
    let next = 0;
    // A few jobs for each worker at a time: a million pictures are not a million promises.
    const run = async () => {
      while (next < jobs.length) {
        const from = next * picturesPerJob;
        const job = jobs[next++];
        const items = job.map(({ name, source }) => ({ name, source, draw: null, cached: null }));
        const results = await pool.run(id, full ? 'audit' : 'header', items, { keep: true });
        for (const [k, result] of results.entries()) {
          facts[from + k] = result.ok ? result.facts! : result.error.message;
          if (result.ok) put(from + k, result.place);
        }
        done += job.length;
        onProgress?.(done, samples.length);
      }
    };
    await Promise.all(Array.from({ length: 3 * pool.workers }, run));
  } finally {
    // The cache's slabs stay with the workers as long as another spec uses them.
    pool.removeSpec(id, { keepCache: true });
  }
  return facts;
}

/** What pictures are resized to where no model is named: enough to see what they look like. */
const looking: Preprocessing = {
  resize: 64,
  crop: [64, 64],
  interpolation: 'bilinear',
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

function countClasses({ classes, samples }: PictureSet, broken: ReadonlySet<string>): AuditedClass[] {
  const counted = classes.map((name) => ({ name, count: 0, broken: 0 }));
  for (const { label, name } of samples) {
    counted[label].count++;
    if (broken.has(name)) counted[label].broken++;
  }
  return counted;
}

function findDuplicates(seen: readonly Seen[], classes: readonly string[]): DuplicateGroup[] {
  const byHash = new Map<string, PictureSample[]>();
  for (const { sample, fact } of seen) {
    const same = byHash.get(fact.hash);
    if (same === undefined) byHash.set(fact.hash, [sample]);
    else same.push(sample);
  }
  return [...byHash.values()]
    .filter((group) => group.length > 1)
    .map((group) => ({
      names: group.map(({ name }) => name),
      classes: [...new Set(group.map(({ label }) => classes[label]))],
      splits: [...new Set(group.map(({ split }) => split ?? 'undivided'))],
    }));
}

/**
 * Pictures in two parts that look the same and are not the same file. Of 256 bits at most a few differ, so of 16 pieces some are equal: only pictures that
 * share a piece are compared.
 */
function findNear(seen: readonly Seen[]): NearDuplicate[] {
  const parted = seen.filter(({ sample, fact }) => sample.split !== undefined && fact.fingerprint !== '');
  const pieces = new Map<string, number[]>();
  const found: NearDuplicate[] = [];
  const pairs = new Set<string>();
  for (const [i, { sample, fact }] of parted.entries()) {
    for (let p = 0; p < fact.fingerprint.length; p += 4) {
      const piece = fact.fingerprint.slice(p, p + 4);
      if (piece === '0000') continue; // an even area: half of all pictures have one
      const key = `${p} ${piece}`;
      const others = pieces.get(key) ?? [];
      for (const k of others) {
        const other = parted[k];
        if (other.sample.split === sample.split || other.fact.hash === fact.hash || pairs.has(`${k} ${i}`)) continue;
        if (fingerprintDistance(other.fact.fingerprint, fact.fingerprint) > nearBits) continue;
        pairs.add(`${k} ${i}`);
        found.push({ names: [other.sample.name, sample.name], splits: [other.sample.split!, sample.split!] });
        if (found.length === mostNear) return found;
      }
      if (others.length < mostInPiece) others.push(i);
      pieces.set(key, others);
    }
  }
  return found;
}

/** Pictures of one kind (digits on black) share many pieces; those beyond are found by others. */
const mostInPiece = 200;

function sizesOf(seen: readonly Seen[]): PictureAudit['sizes'] {
  if (seen.length === 0) return null;
  const sizes = seen.map(({ fact: { height, width } }) => [height, width] as const).sort((a, b) => numel(a) - numel(b));
  return { smallest: sizes[0], median: sizes[sizes.length >> 1], largest: sizes[sizes.length - 1] };
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function findingsOf(audit: Omit<PictureAudit, 'findings'>, set: PictureSet): AuditFinding[] {
  const findings: AuditFinding[] = [];
  const add = (
    kind: AuditFinding['kind'],
    count: number,
    action: AuditAction,
    text: string,
    examples: readonly string[],
  ) => {
    if (count > 0) findings.push({ kind, count, action, text, examples: examples.slice(0, 5) });
  };
  const { broken, duplicates, nearDuplicates, tiny, small, elongated, imbalance, fewPictures, classes } = audit;
  const pictures = (n: number) => `${n} ${n === 1 ? 'picture' : 'pictures'}`;
  const is = (n: number) => (n === 1 ? 'is' : 'are');
  add(
    'broken',
    broken.length,
    'left out',
    `${pictures(broken.length)} cannot be read and ${is(broken.length)} left out`,
    broken.map(({ name, reason }) => (reason.includes(name) ? reason : `${name}: ${reason}`)),
  );
  const contradictions = duplicates.filter((group) => group.classes.length > 1);
  add(
    'contradiction',
    contradictions.length,
    'left out',
    `${pictures(contradictions.length)} ${is(contradictions.length)} there under two labels, and left out: nobody can say which is right`,
    contradictions.map(({ names }) => names.slice(0, 3).join(' = ')),
  );
  const leaks = duplicates.filter((group) => group.classes.length === 1 && group.splits.length > 1);
  add(
    'leak',
    leaks.length,
    'kept',
    `${pictures(leaks.length)} ${is(leaks.length)} in two parts (${leaks[0]?.splits.join(' and ')}): the test is easier than it looks; kept, as the parts are yours`,
    leaks.map(({ names }) => names.slice(0, 3).join(' = ')),
  );
  const copies = duplicates.filter((group) => group.classes.length === 1 && group.splits.length === 1);
  const surplus = copies.reduce((sum, { names }) => sum + names.length - 1, 0);
  add(
    'duplicates',
    surplus,
    'together',
    `${surplus} ${surplus === 1 ? 'copy' : 'copies'} of other pictures: kept, all copies in the same part`,
    copies.map(({ names }) => names.slice(0, 3).join(' = ')),
  );
  add(
    'near duplicates',
    nearDuplicates.length,
    'kept',
    `${nearDuplicates.length} ${nearDuplicates.length === 1 ? 'pair' : 'pairs'} of pictures in different parts look alike: kept; look whether they are the same`,
    nearDuplicates.map(({ names }) => names.join(' ≈ ')),
  );
  add('tiny', tiny.length, 'kept', `${pictures(tiny.length)} of fewer than ${tinySide} pixels: kept, enlarged`, tiny);
  add('small', small.length, 'kept', `${pictures(small.length)} smaller than the model's input: kept, enlarged`, small);
  add(
    'elongated',
    elongated.length,
    'kept',
    `${pictures(elongated.length)} more than ${elongatedRatio} times as long as wide: kept; only the middle is seen`,
    elongated,
  );
  if (classes.length > 1 && imbalance >= weightedFrom) {
    const byCount = [...classes].sort((a, b) => a.count - a.broken - (b.count - b.broken));
    const [least, most] = [byCount[0], byCount[byCount.length - 1]];
    add(
      'imbalance',
      1,
      'kept',
      `'${most.name}' has ${imbalance.toFixed(imbalance < 10 ? 1 : 0)} times as many pictures as '${least.name}': so it stays unless the classes are weighed (--weight-classes) or drawn equally often (--balance)`,
      [least.name, most.name],
    );
  }
  add(
    'few',
    fewPictures.length,
    'kept',
    `${fewPictures.length} ${fewPictures.length === 1 ? 'class has' : 'classes have'} fewer than ${fewestPictures} pictures: kept, but hardly learned`,
    fewPictures,
  );
  for (const [reason, count] of Object.entries(set.leftOutCounts)) {
    if (reason === 'hidden') continue;
    const examples = set.leftOut.filter((left) => left.reason === reason).map(({ name }) => name);
    add('left out', count, 'left out', `${count} not taken: ${reason}`, examples);
  }
  return findings;
}
