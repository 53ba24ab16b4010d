/**
 * Where lazy becomes real. A realisation is one step of the device: the tensors asked for, every assignment recorded since the last one, and
 * the losses `backward()` was called on go to the target together, so that shared work is done once. Realisations run one after another.
 */

import type { Node } from '../graph/node.js';
import { checkCurrent } from '../graph/stale.js';
import { Storage } from '../graph/storage.js';
import type { Assignment, Target } from '../graph/target.js';
import { cast, stopGradient, where } from '../ops/elementwise.js';
import { buffer } from '../ops/source.js';
import type { Draw } from '../util/draw.js';
import { allocate, type TypedArray } from '../util/dtype.js';
import { ConfigError, ShapeError } from '../util/errors.js';
import { formatShape, numel, sameShape } from '../util/shape.js';
import { openDevice } from './device.js';
import { hasPast, isSource, pastOf, registerLeaf, settle, staleRead } from './history.js';
import type { Tensor } from './tensor.js';

let current: Target | Promise<Target> | null = null;

/** The device that computes from now on. What was recorded before runs on it too. */
export function setDevice(target: Target): void {
  current = target;
}

/** The device in use; made on first use when none was set. */
export async function device(): Promise<Target> {
  current ??= defaultDevice();
  current = await current;
  return current;
}

async function defaultDevice(): Promise<Target> {
  return (await openDevice()).target;
}

/** First values of storages that have none yet, and values assigned since: recorded, waiting for the next realisation. */
const initial = new Map<Tensor, Node>();
const assigned = new Map<Tensor, Node>();
const losses = new Set<Tensor>();
const mostLosses = 64;

/** Done when the realisations asked for so far are. */
let queue: Promise<unknown> = Promise.resolve();
let running = false;

/** Computes `tensors` and carries out pending assignments, all in one step of the device. Already computed tensors cost nothing. */
export function realize(...tensors: Tensor[]): Promise<void> {
  const step = queue.then(() => runStep(tensors));
  queue = step.catch(() => {});
  return step;
}

/** The value of a tensor, computed if need be. The array is the tensor's own: copy it before changing it or handing it out. */
export async function readValue(tensor: Tensor): Promise<TypedArray> {
  await realize(tensor);
  return storageOf(tensor)!.read();
}

/** The value of a tensor if it is there without computing, or null. */
export function peekValue(tensor: Tensor): TypedArray | null {
  return running || isPending(tensor) ? null : (storageOf(tensor)?.read() ?? null);
}

/** Counts `loss` among what the next realisation computes: reading it after opt.step() then costs nothing. */
export function computeWithNextStep(loss: Tensor): void {
  if (losses.size >= mostLosses) losses.delete(losses.values().next().value!);
  losses.add(loss);
}

/**
 * Gives `tensor` a new value in place. A tensor value is computed by the next realisation; reads recorded from now on see it already.
 * Host data is written at once. @throws {ShapeError} unless the shapes are equal.
 */
export function assign(tensor: Tensor, value: Tensor | TypedArray): void {
  if (ArrayBuffer.isView(value)) {
    writeHost(tensor, value);
    return;
  }
  if (!sameShape(tensor.shape, value.shape)) {
    const name = tensor.storage?.name ?? 'tensor';
    throw new ShapeError(
      `assign: shapes differ\n  ${name.padEnd(5)}  ${formatShape(tensor.shape)}\n  ${'value'.padEnd(name.length)}  ${formatShape(value.shape)}\n` +
        '  The new value takes the place of the old one and needs its shape: reshape or expand it.',
    );
  }
  makePersistent(tensor);
  stage(tensor, stopGradient(cast(value.current, tensor.dtype)));
}

/** Makes the pending assignments conditional: they take effect if `ok`, one bool, comes out true, else the old values stay. */
export function assignOnlyIf(ok: Tensor): void {
  for (const [tensor, value] of assigned) {
    const old = initial.get(tensor) ?? buffer(tensor.storage!);
    stage(tensor, stopGradient(where(ok.current, value, old)));
  }
}

/** Runs `body`, which may record but not assign. @throws {ConfigError} naming what it would change; then nothing of it stays recorded. */
export function withoutAssignments<T>(body: () => T, advice: string): T {
  const [assignedBefore, initialBefore] = [new Map(assigned), new Map(initial)];
  const result = body();
  const changed = [...assigned].filter(([tensor, value]) => assignedBefore.get(tensor) !== value);
  if (changed.length === 0) return result;
  for (const [tensor] of changed) {
    assigned.delete(tensor);
    const before = assignedBefore.get(tensor);
    if (before !== undefined) stage(tensor, before);
    else setCurrent(tensor, initialBefore.get(tensor) ?? buffer(tensor.storage!));
  }
  const names = changed.map(([tensor]) => tensor.storage?.name ?? `a tensor of shape ${formatShape(tensor.shape)}`);
  throw new ConfigError(
    `${advice}\n  It assigns to ${names.slice(0, 3).join(', ')}${names.length > 3 ? ' and others' : ''}.`,
  );
}

function writeHost(tensor: Tensor, data: TypedArray): void {
  const size = numel(tensor.shape);
  if (data.length !== size) {
    throw new ShapeError(
      `assign: shape ${formatShape(tensor.shape)} takes ${size} values; the array has ${data.length}.`,
    );
  }
  const copy = allocate(tensor.dtype, size);
  copy.set(data);
  const storage = makePersistent(tensor);
  if (running) {
    stage(tensor, stopGradient(buffer(new Storage(tensor.shape, tensor.dtype, copy))));
    return;
  }
  storage.write(copy);
  becomeCurrent(tensor, storage);
}

/**
 * Like `assign` of host data, which `fill` writes when somebody first looks: initial weights that a file replaces are never drawn. `draw` says
 * what fill will do, so that the device can do it in its place.
 */
export function deferValue(tensor: Tensor, fill: () => TypedArray, draw: Draw | null = null): void {
  if (running) {
    writeHost(tensor, fill());
    return;
  }
  const storage = makePersistent(tensor);
  storage.defer(fill, draw);
  becomeCurrent(tensor, storage);
}

/** Gives a tensor a storage of its own that lasts from step to step; its present value becomes the first one. */
export function makePersistent(tensor: Tensor): Storage {
  if (tensor.storage !== null) return tensor.storage;
  const node = tensor.current;
  const uniform = node.op.facts.uniform?.(node.attrs);
  const source = storageOf(tensor);
  const storage = new Storage(tensor.shape, tensor.dtype, null, true);
  tensor.storage = storage;
  if (uniform !== undefined) {
    const fill = () => allocate(storage.dtype, numel(storage.shape)).fill(uniform);
    storage.defer(fill, storage.dtype === 'float32' ? { kind: 'constant', value: uniform } : null);
  } else if (source !== null) storage.write(source.read().slice());
  else {
    const first = stopGradient(node);
    storage.defer(() => allocate(storage.dtype, numel(storage.shape))); // until the first value is computed
    initial.set(tensor, first);
    setCurrent(tensor, first);
    return storage;
  }
  setCurrent(tensor, buffer(storage));
  return storage;
}

/** Makes a tensor hold `storage`, whose value is already there. */
export function adopt(tensor: Tensor, storage: Storage): void {
  tensor.storage = storage;
  setCurrent(tensor, buffer(storage));
}

/** Gives the memory of a persistent tensor back now instead of when it is collected. It cannot be read any more. */
export function dispose(tensor: Tensor): void {
  const { storage } = tensor;
  if (storage === null) return;
  initial.delete(tensor);
  assigned.delete(tensor);
  setCurrent(tensor, buffer(storage));
  tensor.storage = null;
  storage.name = `${storage.name ?? 'a tensor'}, since disposed of,`;
  storage.write(allocate(storage.dtype, 0));
}

/** The value of a storage was replaced from the host: what was pending for it is void. */
function becomeCurrent(tensor: Tensor, storage: Storage): void {
  initial.delete(tensor);
  assigned.delete(tensor);
  setCurrent(tensor, buffer(storage));
}

function stage(tensor: Tensor, value: Node): void {
  assigned.set(tensor, value);
  setCurrent(tensor, value);
}

function setCurrent(tensor: Tensor, node: Node): void {
  tensor.current = node;
  tensor.tracked = true;
  if (tensor.wantsGrad) registerLeaf(node, tensor);
}

function isPending(tensor: Tensor): boolean {
  return assigned.has(tensor) || initial.has(tensor);
}

/** Where the present value of a tensor lies, if it has been computed. */
function storageOf({ storage, current: node }: Tensor): Storage | null {
  if (storage !== null) return storage;
  if (node.realized !== null) return node.realized;
  const read = node.op.facts.reads?.(node.attrs);
  return read !== undefined && read.version === read.storage.version ? read.storage : null;
}

async function runStep(tensors: readonly Tensor[]): Promise<void> {
  const roots = new Map<Node, Tensor>();
  for (const t of tensors) {
    if (isPending(t) || storageOf(t) !== null) continue;
    checkReads(t.current);
    roots.set(t.current, t);
  }
  for (const t of losses) {
    if (!isPending(t) && storageOf(t) === null && staleRead(t.current) === null) roots.set(t.current, t);
  }
  losses.clear();
  if (roots.size === 0 && initial.size === 0 && assigned.size === 0) return;
  running = true;
  try {
    const target = await device();
    // First values come in a step of their own, so that the step behind them is the same graph as all later ones.
    if (initial.size > 0) await carryOut(target, [], initial);
    const stepping = assigned.size > 0;
    if (roots.size > 0 || stepping) await carryOut(target, [...roots.keys()], assigned);
    for (const [node, t] of roots) forgetPast(node, t);
    if (stepping) dropUselessPasts();
  } finally {
    running = false;
  }
}

/** Runs one step of the device. When it fails nothing has happened: the assignments in it are undone. */
async function carryOut(target: Target, roots: Node[], pending: Map<Tensor, Node>): Promise<void> {
  const steps = [...pending];
  const assigns: Assignment[] = steps.map(([t, value]) => ({ storage: t.storage!, value }));
  const versions = assigns.map((a) => a.storage.version);
  try {
    await target.realize(roots, assigns);
  } catch (error) {
    for (const [t, value] of pending === assigned ? steps : []) {
      if (assigned.get(t) !== value) continue;
      assigned.delete(t);
      setCurrent(t, initial.get(t) ?? buffer(t.storage!));
    }
    throw explained(error, assigns);
  }
  steps.forEach(([t, value], i) => {
    const storage = t.storage!;
    if (storage.version === versions[i]) storage.version++;
    settle(value, storage);
    if (pending.get(t) === value) pending.delete(t);
  });
}

/** @throws {ConfigError} when `node` needs a value that has been overwritten since it was recorded. */
function checkReads(node: Node): void {
  const stale = staleRead(node);
  if (stale !== null) checkCurrent(stale);
}

/** Adds the usual way into the trouble to the error of a target that met an overwritten value behind an assignment. */
function explained(error: unknown, assigns: readonly Assignment[]): unknown {
  if (!(error instanceof ConfigError) || staleRead(...assigns.map((a) => a.value)) === null) return error;
  return new ConfigError(
    `${error.message}\n  If it came in through a gradient of an earlier step: call opt.zeroGrad() before the next backward().`,
  );
}

/** Computed nodes whose past still serves gradients. */
let withPast: WeakRef<Node>[] = [];

/** A computed value keeps its past only where a gradient could still be asked for. */
function forgetPast(node: Node, tensor: Tensor): void {
  if (node.realized === null) return;
  if (!tensor.tracked || node.dtype !== 'float32' || isSource(node)) {
    settle(node, node.realized);
    tensor.tracked = true;
    return;
  }
  withPast.push(new WeakRef(node));
  if (withPast.length > 256) withPast = withPast.filter((ref) => ref.deref() !== undefined);
}

/**
 * Between training steps a past is of use only if gradients could still flow through it to a leaf. One that reads overwritten parameters, or
 * leads nowhere, would only grow from step to step.
 */
function dropUselessPasts(): void {
  withPast = withPast.filter((ref) => {
    const node = ref.deref();
    if (node === undefined) return false;
    const stale = staleRead(node) !== null;
    if (!stale && pastOf(node) === 'leaf') return true;
    settle(node, node.realized!, hasPast(node));
    return false;
  });
}
