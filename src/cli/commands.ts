/** The subcommands: what `fovea --help` lists. A command's code, and the library behind it, is loaded when it is called. */

import type { Command } from 'commander';

export interface Subcommand {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ command(): Command }>;
}

export const subcommands: readonly Subcommand[] = [
  { name: 'train', summary: 'train a model on labelled pictures', load: () => import('./train.js') },
  { name: 'eval', summary: 'measure a trained model on its test pictures', load: () => import('./eval.js') },
  { name: 'predict', summary: 'say what is in pictures', load: () => import('./predict.js') },
  { name: 'explain', summary: 'show where a model looks and what it looks for', load: () => import('./explain.js') },
  {
    name: 'robustness',
    summary: 'measure how answers move under shifts, turns, noise',
    load: () => import('./robustness.js'),
  },
  { name: 'embed', summary: 'draw a data set as a map of what a model finds alike', load: () => import('./embed.js') },
  { name: 'compare', summary: 'compare the layers of two trained models', load: () => import('./compare.js') },
  { name: 'summary', summary: 'list the layers of a model', load: () => import('./summary.js') },
  { name: 'models', summary: 'list the models there are', load: () => import('./models.js') },
  { name: 'inspect', summary: 'list what is in a file of weights or a model', load: () => import('./inspect.js') },
  { name: 'import', summary: 'make an ONNX file a run', load: () => import('./import.js') },
  {
    name: 'export',
    summary: 'write a trained model as ONNX, a web page, or weights',
    load: () => import('./export.js'),
  },
  { name: 'serve', summary: 'answer HTTP requests with what is in pictures', load: () => import('./serve.js') },
  { name: 'plan', summary: 'show how a training step is compiled', load: () => import('./plan.js') },
  { name: 'profile', summary: 'time the kernels of a step', load: () => import('./profile.js') },
  { name: 'bench-data', summary: 'measure how fast pictures come, by stage', load: () => import('./bench-data.js') },
  { name: 'devices', summary: 'show what this machine offers to compute on', load: () => import('./devices.js') },
];
