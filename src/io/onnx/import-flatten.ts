/** The nodes of a graph with the model's own functions written out in their place, as many levels as there are. */

import { FormatError } from '../../util/errors.js';
import type { NodeFacts } from './import-node.js';
import { offsetOf } from './model-file.js';
import {
  type AttributeProto,
  AttributeType,
  type FunctionProto,
  type ModelProto,
  type NodeProto,
  type OperatorSetIdProto,
} from './schema.js';

/** Versions of operator sets by domain; '' is ONNX's own. */
export type Versions = ReadonlyMap<string, number>;

export function versionsOf(imports: readonly OperatorSetIdProto[]): Versions {
  return new Map(imports.map(({ domain, version }) => [ownDomain(domain), Number(version)]));
}

const ownDomain = (domain: string) => (domain === 'ai.onnx' ? '' : domain);

/** A small file with functions in functions could ask for any number of nodes. */
const mostNodes = 1 << 18;
const deepest = 32;

export class Flattener {
  readonly #functions: ReadonlyMap<string, FunctionProto>;
  #nodes = 0;
  #calls = 0;

  constructor(model: ModelProto) {
    this.#functions = new Map(model.functions.map((f) => [keyOf(f.domain, f.name, f.overload), f]));
  }

  /** @throws {FormatError} for functions that call themselves, and for more nodes than any network has. */
  flatten(nodes: readonly NodeProto[], versions: Versions): NodeFacts[] {
    const out: NodeFacts[] = [];
    for (const node of nodes) this.#add(node, versions, (name) => name, null, 0, out);
    return out;
  }

  #add(
    node: NodeProto,
    versions: Versions,
    rename: (name: string) => string,
    given: ReadonlyMap<string, AttributeProto> | null,
    depth: number,
    out: NodeFacts[],
  ): void {
    if (++this.#nodes > mostNodes) throw new FormatError(`onnx: more than ${mostNodes} nodes`, offsetOf(node));
    const domain = ownDomain(node.domain);
    const attributes = attributesOf(node, given);
    const called = this.#functions.get(keyOf(domain, node.opType, node.overload));
    const inputs = node.input.map(rename);
    const outputs = node.output.map(rename);
    if (called === undefined) {
      const inFunction = depth > 0 && [...attributes.values()].some((a) => a.type === AttributeType.GRAPH);
      if (inFunction)
        throw new FormatError(
          `onnx: node '${node.name}' (${node.opType}) holds a graph inside a function`,
          offsetOf(node),
        );
      out.push({
        op: node.opType,
        domain,
        name: node.name,
        version: versions.get(domain) ?? 0,
        inputs,
        outputs,
        attributes,
        offset: offsetOf(node),
        module: moduleOf(node),
      });
      return;
    }
    if (depth >= deepest)
      throw new FormatError(`onnx: functions nested more than ${deepest} deep at '${called.name}'`, offsetOf(node));
    this.#inline(called, { inputs, outputs, attributes, name: node.name }, depth, out);
  }

  #inline(
    called: FunctionProto,
    call: Pick<NodeFacts, 'inputs' | 'outputs' | 'attributes' | 'name'>,
    depth: number,
    out: NodeFacts[],
  ): void {
    const prefix = `${call.name || called.name}#${this.#calls++}/`;
    const names = new Map<string, string>([['', '']]);
    called.input.forEach((name, i) => void names.set(name, call.inputs[i] ?? ''));
    called.output.forEach((name, i) => void names.set(name, call.outputs[i] || prefix + name));
    const defaults = called.attributeProto.map((attribute) => [attribute.name, attribute] as const);
    const given = new Map([...defaults, ...call.attributes]);
    const rename = (name: string) => names.get(name) ?? prefix + name;
    const versions = versionsOf(called.opsetImport);
    for (const node of called.node) this.#add(node, versions, rename, given, depth + 1, out);
  }
}

/** Attributes by name, those that refer to a function's own parameters replaced by what was passed. */
function attributesOf(node: NodeProto, given: ReadonlyMap<string, AttributeProto> | null): Map<string, AttributeProto> {
  const attributes = new Map<string, AttributeProto>();
  for (const attribute of node.attribute) {
    const value = attribute.refAttrName === '' ? attribute : given?.get(attribute.refAttrName);
    if (attributes.has(attribute.name)) {
      throw new FormatError(
        `onnx: node '${node.name}' (${node.opType}): attribute '${attribute.name}' stands twice`,
        offsetOf(attribute),
      );
    }
    if (value !== undefined) attributes.set(attribute.name, value);
  }
  return attributes;
}

/** PyTorch's newer exporter notes the modules around a node: "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d_3']". */
function moduleOf(node: NodeProto): string | null {
  const scopes = node.metadataProps.find(({ key }) => key === 'pkg.torch.onnx.name_scopes')?.value;
  const names = scopes === undefined ? [] : Array.from(scopes.matchAll(/'([^']*)'/g), (match) => match[1]);
  return names.length >= 2 ? names.at(-2)! : null;
}

function keyOf(domain: string, name: string, overload: string): string {
  return JSON.stringify([ownDomain(domain), name, overload]);
}
