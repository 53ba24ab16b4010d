/** Padding layers: a constant around the picture, the picture mirrored at its border, its last row repeated, or the other side wrapped around. */

import type { PadMode, PadWidth, Tensor } from '../tensor/index.js';
import { ShapeError } from '../util/errors.js';
import { formatShape } from '../util/shape.js';
import { Module } from './module.js';

/** As PyTorch's padding layers take it: one number for all sides, or from the last axis backwards (left, right, top, bottom, front, back). */
export type PaddingSizes = number | readonly number[];

abstract class Pad extends Module {
  protected abstract readonly mode: PadMode;
  protected readonly value: number = 0;
  readonly #pads: PadWidth[];

  constructor(
    readonly padding: PaddingSizes,
    rank: number,
  ) {
    super();
    const sizes = typeof padding === 'number' ? new Array<number>(2 * rank).fill(padding) : padding;
    if (sizes.length !== 2 * rank) {
      throw new ShapeError(
        `${this.constructor.name}: padding takes one number or ${2 * rank} (${['left', 'right', 'top', 'bottom', 'front', 'back'].slice(0, 2 * rank).join(', ')}); ` +
          `got ${formatShape(sizes)}`,
      );
    }
    this.#pads = Array.from({ length: rank }, (_, i): PadWidth => [sizes[2 * i], sizes[2 * i + 1]]).reverse();
  }

  override forward(x: Tensor): Tensor {
    return x.pad(this.#pads, { mode: this.mode, value: this.value });
  }

  override extraRepr(): string {
    return typeof this.padding === 'number' ? `${this.padding}` : `[${this.padding.join(', ')}]`;
  }
}

abstract class ConstantPad extends Pad {
  protected override readonly mode = 'constant';
  protected override readonly value: number;
  constructor(padding: PaddingSizes, value: number, rank: number) {
    super(padding, rank);
    this.value = value;
  }
}

/** `value` around the last axis. */
export class ConstantPad1d extends ConstantPad {
  constructor(padding: PaddingSizes, value: number) {
    super(padding, value, 1);
  }
}
/** `value` around the last two axes. */
export class ConstantPad2d extends ConstantPad {
  constructor(padding: PaddingSizes, value: number) {
    super(padding, value, 2);
  }
}
/** `value` around the last three axes. */
export class ConstantPad3d extends ConstantPad {
  constructor(padding: PaddingSizes, value: number) {
    super(padding, value, 3);
  }
}
/** Zeros around the last axis. */
export class ZeroPad1d extends ConstantPad {
  constructor(padding: PaddingSizes) {
    super(padding, 0, 1);
  }
}
/** Zeros around the last two axes. */
export class ZeroPad2d extends ConstantPad {
  constructor(padding: PaddingSizes) {
    super(padding, 0, 2);
  }
}
/** Zeros around the last three axes. */
export class ZeroPad3d extends ConstantPad {
  constructor(padding: PaddingSizes) {
    super(padding, 0, 3);
  }
}

abstract class ReflectionPad extends Pad {
  protected override readonly mode = 'reflect';
}
/** Mirrors the last axis at its border. */
export class ReflectionPad1d extends ReflectionPad {
  constructor(padding: PaddingSizes) {
    super(padding, 1);
  }
}
/** Mirrors the last two axes at their borders. */
export class ReflectionPad2d extends ReflectionPad {
  constructor(padding: PaddingSizes) {
    super(padding, 2);
  }
}
/** Mirrors the last three axes at their borders. */
export class ReflectionPad3d extends ReflectionPad {
  constructor(padding: PaddingSizes) {
    super(padding, 3);
  }
}

abstract class ReplicationPad extends Pad {
  protected override readonly mode = 'replicate';
}
/** Repeats the border of the last axis. */
export class ReplicationPad1d extends ReplicationPad {
  constructor(padding: PaddingSizes) {
    super(padding, 1);
  }
}
/** Repeats the border of the last two axes. */
export class ReplicationPad2d extends ReplicationPad {
  constructor(padding: PaddingSizes) {
    super(padding, 2);
  }
}
/** Repeats the border of the last three axes. */
export class ReplicationPad3d extends ReplicationPad {
  constructor(padding: PaddingSizes) {
    super(padding, 3);
  }
}

abstract class CircularPad extends Pad {
  protected override readonly mode = 'circular';
}
/** Wraps the last axis around. */
export class CircularPad1d extends CircularPad {
  constructor(padding: PaddingSizes) {
    super(padding, 1);
  }
}
/** Wraps the last two axes around. */
export class CircularPad2d extends CircularPad {
  constructor(padding: PaddingSizes) {
    super(padding, 2);
  }
}
/** Wraps the last three axes around. */
export class CircularPad3d extends CircularPad {
  constructor(padding: PaddingSizes) {
    super(padding, 3);
  }
}
