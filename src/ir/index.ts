/** LANGUAGE 2, the kernel IR: builder, verifier, printer, interpreter, and programs of kernels. */
export { type Analysis, analyse, isLeaf } from './analyse.js';
export { inspection, KernelBuilder, type KernelBuilderOptions, type Loaded, type LoopRange } from './builder.js';
export { type Bound, interpret } from './interpret.js';
export { print } from './print.js';
export type { Arg, Launch, Program } from './program.js';
export {
  type CacheLevel,
  ELEM_BYTES,
  type ElemType,
  type Expr,
  type IfStmt,
  isFloat,
  isInt,
  isVector,
  type Kernel,
  type KernelParam,
  type LoopStmt,
  OPS,
  type Op,
  type PrefetchStmt,
  type Stmt,
  type StoreStmt,
  type Type,
  type Variable,
} from './types.js';
export {
  Affine,
  affine,
  type F,
  type F1,
  Float,
  type I32,
  type Index,
  Int,
  Ptr,
  PtrVar,
  type Term,
  type Value,
  Var,
  type VarF,
  type VarI,
  type VF,
  type VI,
} from './values.js';
export { findFault, verify } from './verify.js';
