/**
 * Freezing: parts of a network keep their weights while the rest trains. A batch norm all of whose weights are frozen also keeps its running
 * statistics and normalises by them, in training too; else the statistics would drift away from the weights that were trained with them.
 */

import { ConfigError, suggest } from '../util/errors.js';
import type { Module } from './module.js';

import {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
} from './normalization.js';

/**
 * Which parameters, by path: a RegExp that the path must match somewhere, or text — a path ('layer1', 'conv1.weight': it and everything
 * below), in which `*` stands for anything within one step of the path ('layer*.0.bn1') and `**` for any number of steps ('**.bias').
 */
export type PathPattern = string | RegExp;

/** The parameters of `model` that `patterns` name stop training. Returns their paths. @throws {ConfigError} for a pattern that names none. */
export function freeze(model: Module, patterns: PathPattern | readonly PathPattern[]): string[] {
  return setTraining(model, patterns, false);
}

/** The contrary of `freeze`. */
export function unfreeze(model: Module, patterns: PathPattern | readonly PathPattern[]): string[] {
  return setTraining(model, patterns, true);
}

/** Remembers which parameters train and which statistics move. The function it returns brings that back. */
export function rememberFrozen(model: Module): () => void {
  const parameters = model.parameters().map((parameter) => [parameter, parameter.requiresGrad] as const);
  const norms = model.modules().filter(keepsStatistics);
  const states = norms.map((norm) => [norm, norm.frozen] as const);
  return () => {
    for (const [parameter, trains] of parameters) parameter.requiresGrad = trains;
    for (const [norm, frozen] of states) norm.frozen = frozen;
  };
}

function setTraining(model: Module, patterns: PathPattern | readonly PathPattern[], trains: boolean): string[] {
  const list = Array.isArray(patterns) ? (patterns as readonly PathPattern[]) : [patterns as PathPattern];
  const tests = list.map((pattern) => ({ pattern, matches: pathMatcher(pattern), used: false }));
  const names = (path: string) => tests.filter(({ matches }) => matches(path));

  const parameters = [...model.namedParameters()];
  const chosen = parameters.filter(([path]) => {
    const by = names(path);
    for (const test of by) test.used = true;
    return by.length > 0;
  });
  const norms = [...model.namedModules()].filter((entry): entry is [string, StatisticsLayer] =>
    keepsStatistics(entry[1]),
  );
  const bare = norms.filter(([path, norm]) => {
    if (norm.weight !== null || norm.bias !== null) return false;
    const by = names(`${path}.running_mean`); // no weights to name it by
    for (const test of by) test.used = true;
    return by.length > 0;
  });
  for (const { pattern, used } of tests) if (!used) throw unknownPattern(pattern, model);

  const changed = new Set(chosen.map(([, parameter]) => parameter));
  for (const parameter of changed) parameter.requiresGrad = trains;
  for (const [, norm] of bare) norm.frozen = !trains;
  for (const [, norm] of norms) {
    const own = [norm.weight, norm.bias].filter((p) => p !== null);
    if (own.some((p) => changed.has(p))) norm.frozen = own.every((p) => !p.requiresGrad);
  }
  return chosen.map(([path]) => path);
}

type StatisticsLayer = BatchNorm1d | BatchNorm2d | BatchNorm3d | InstanceNorm1d | InstanceNorm2d | InstanceNorm3d;

const statisticsLayers = [BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d];

function keepsStatistics(module: Module): module is StatisticsLayer {
  return statisticsLayers.some((Layer) => module instanceof Layer);
}

/** Whether a path is among those that `pattern` names. */
export function pathMatcher(pattern: PathPattern): (path: string) => boolean {
  if (typeof pattern !== 'string') {
    const plain = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, '')); // those remember where they stopped
    return (path) => plain.test(path);
  }
  const steps = pattern.split('.').map((step) => {
    if (step === '**') return '.*';
    return step.split('*').map(escaped).join('[^.]*');
  });
  // '**' may stand for no step at all, its dot with it.
  const source = steps.join('\\.').replaceAll('.*\\.', '(?:.*\\.)?').replaceAll('\\..*', '(?:\\..*)?');
  const whole = new RegExp(`^${source}(?:\\..*)?$`);
  return (path) => whole.test(path);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.+?()[\]{}|]/g, '\\$&');
}

function unknownPattern(pattern: PathPattern, model: Module): ConfigError {
  const paths = [...model.namedParameters()].map(([path]) => path);
  const modules = [...model.namedModules()].map(([path]) => path).filter((path) => path !== '');
  const near = typeof pattern === 'string' ? suggest(pattern, [...modules, ...paths]) : null;
  const hint =
    near === null
      ? `its parts are ${[...model.namedChildren()].map(([name]) => name).join(', ')}`
      : `did you mean ${near}?`;
  return new ConfigError(`freeze: ${String(pattern)} names no parameter of ${model.constructor.name}: ${hint}`);
}
