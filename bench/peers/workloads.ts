/** What fovea and its peers are measured on, and what fovea aims at beside each. */

import type { Aim } from '../statistics.js';

/** One piece of work, as every peer is told it. */
export interface Workload {
  readonly kind: 'train' | 'infer';
  /** torchvision's name, or `classic` (src/models/classic.ts). */
  readonly model: string;
  readonly batch: number;
  /** Channels, height and width of a picture. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
  readonly stem?: 'cifar';
  readonly optimizer?: 'adam' | 'sgd';
}

export type PeerName = 'pytorch' | 'onnxruntime-node' | 'onnxruntime-web' | 'tfjs' | 'jax-js';

/** Least speed of fovea, as a multiple of a peer's. */
export type SpeedAims = Partial<Record<PeerName, number>>;

export interface SpeedRow {
  readonly what: string;
  readonly workload: Workload;
  readonly aims: SpeedAims;
}

const training = { kind: 'train', classes: 10 } as const;
const inference = { kind: 'infer', batch: 1, input: [3, 224, 224], classes: 1000 } as const;

export const trainingRows: readonly SpeedRow[] = [
  {
    what: 'training step of classic, batch 64, Adam',
    workload: { ...training, model: 'classic', batch: 64, input: [1, 28, 28], optimizer: 'adam' },
    aims: { pytorch: 1.8 },
  },
  {
    what: 'training step of resnet18, CIFAR stem, 32 × 32, batch 32, SGD with momentum',
    workload: { ...training, model: 'resnet18', stem: 'cifar', batch: 32, input: [3, 32, 32], optimizer: 'sgd' },
    aims: { pytorch: 1.3 },
  },
  {
    what: 'training step of mobilenet_v2, 224 × 224, batch 8, SGD with momentum',
    workload: { ...training, model: 'mobilenet_v2', batch: 8, input: [3, 224, 224], classes: 1000, optimizer: 'sgd' },
    aims: { pytorch: 2 },
  },
];

export const inferenceRows: readonly SpeedRow[] = (
  [
    ['resnet50', 1],
    ['mobilenet_v2', 1],
    ['vgg16', 1.3],
    ['efficientnet_b0', 1],
  ] as const
).map(([model, besideOrt]) => ({
  what: `inference of ${model}, 224 × 224, batch 1`,
  workload: { ...inference, model },
  aims: { pytorch: 2, 'onnxruntime-node': besideOrt, 'onnxruntime-web': 1.5 },
}));

/** Peak memory of the training steps, fovea's over PyTorch's. */
export const memoryAim: Aim = { kind: 'at most', value: 0.7 };
/** Seconds from the start of the process to the first forward of ResNet-50. */
export const startAim: Aim = { kind: 'at most', value: 0.7 };
export const startModel = 'resnet50';
/** Seconds of one epoch of MNIST, final test included. */
export const epochAim: Aim = { kind: 'at most', value: 35 };
