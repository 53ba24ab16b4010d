/** Who takes part: fovea on one or two devices, and the peers, each in a process that is started when first needed. */

import { join } from 'node:path';
import { Cannot, type Command, PeerProcess } from './peer.js';
import type { Hello } from './protocol.js';
import type { PeerName } from './workloads.js';

export const peerNames: readonly PeerName[] = ['pytorch', 'onnxruntime-node', 'onnxruntime-web', 'tfjs', 'jax-js'];
/** Peers that compute in WebAssembly: fovea meets them on its own WebAssembly device. */
const webPeers: readonly PeerName[] = ['onnxruntime-web', 'tfjs', 'jax-js'];

const install = 'npm install --prefix bench/peers --ignore-scripts';

export interface Surroundings {
  /** bench/peers. */
  readonly folder: string;
  readonly threads: number;
}

export class Contestant {
  private running: PeerProcess | null = null;
  private refused: string | null = null;
  hello: Hello | null = null;

  constructor(
    readonly name: string,
    readonly peer: PeerName | null,
    readonly command: Command,
  ) {}

  /** As tables name it: fovea with the device it got. */
  get label(): string {
    return this.peer === null && this.hello !== null ? `fovea (${this.hello.version})` : this.name;
  }

  /** Its process, started unless it runs. @throws {Cannot} */
  async process(): Promise<PeerProcess> {
    if (this.running?.alive) return this.running;
    if (this.refused !== null) throw new Cannot(this.refused);
    try {
      this.running = await PeerProcess.start(this.command);
    } catch (error) {
      this.refused = explain(error as Error);
      throw new Cannot(this.refused);
    }
    this.hello = this.running.hello;
    return this.running;
  }

  /** A process of its own for one measurement; the caller ends it. @throws {Cannot} */
  fresh(): Promise<PeerProcess> {
    return PeerProcess.start(this.command);
  }

  /** The command with further arguments, for processes that do one thing and end. */
  commandWith(...args: readonly string[]): Command {
    return { ...this.command, args: [...this.command.args, ...args] };
  }

  end(): void {
    this.running?.end();
  }
}

function explain({ message }: Error): string {
  return message === 'is not installed' ? `is not installed: ${install}` : message;
}

export function foveaOn(device: string, { folder, threads }: Surroundings): Contestant {
  const args = [join(folder, 'programs', 'fovea.mjs'), device, String(threads), join(folder, '.cache')];
  return new Contestant(`fovea (${device})`, null, { program: process.execPath, args });
}

export function peerNamed(name: PeerName, { folder, threads }: Surroundings): Contestant {
  const program = join(folder, 'programs', name === 'pytorch' ? 'pytorch_peer.py' : `${name}.mjs`);
  const args = [program, String(threads), join(folder, '.cache')];
  return new Contestant(name, name, { program: name === 'pytorch' ? 'python3' : process.execPath, args });
}

export interface Field {
  /** fovea on the device asked for. */
  readonly fovea: Contestant;
  /** fovea on WebAssembly; the same when that is what was asked for. */
  readonly foveaWasm: Contestant;
  readonly peers: readonly Contestant[];
}

/** Everybody, in the order in which they take turns. PyTorch comes early: it writes the files that others read. */
export function everybody({ fovea, foveaWasm, peers }: Field): Contestant[] {
  const [torch, others] = [peers.filter((p) => p.peer === 'pytorch'), peers.filter((p) => p.peer !== 'pytorch')];
  return [...torch, fovea, ...(foveaWasm === fovea ? [] : [foveaWasm]), ...others];
}

/** The fovea a peer is compared with. */
export function rivalOf(peer: Contestant, { fovea, foveaWasm }: Field): Contestant {
  return peer.peer !== null && webPeers.includes(peer.peer) ? foveaWasm : fovea;
}

/** Opens fovea's devices: WebAssembly joins in when the device asked for is another. */
export async function openField(device: string, names: readonly PeerName[], around: Surroundings): Promise<Field> {
  const fovea = foveaOn(device, around);
  const { version } = (await fovea.process()).hello;
  const foveaWasm = version === 'wasm' ? fovea : foveaOn('wasm', around);
  return { fovea, foveaWasm, peers: names.map((name) => peerNamed(name, around)) };
}
