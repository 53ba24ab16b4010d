/** `fovea devices`: what this machine offers to compute on, what `auto` takes, and why. */

import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type OpenedDevice, openDevice } from '../tensor/index.js';
import { newCommand, withJson } from './options.js';
import { bytes, print, printJson } from './output.js';

export function command(): Command {
  return withJson(
    newCommand('devices', 'Shows what this machine offers to compute on, what is chosen, and why.', 'fovea devices'),
  ).action(async ({ json }: { json?: boolean }) => {
    const machine = {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      freeBytes: freemem(),
      node: process.versions.node,
      v8: process.versions.v8,
    };
    const chosen = await describe('auto');
    const all = [chosen.name === 'wasm' ? chosen : await describe('wasm'), await describe('reference')];
    if (json) {
      printJson({ event: 'machine', ...machine });
      for (const { reason: _, ...device } of all) printJson({ event: 'device', ...device });
      printJson({ event: 'chosen', name: chosen.name, threads: chosen.threads, reason: chosen.reason });
      return;
    }
    print(
      `machine    ${machine.cpu}, ${machine.cores} ${machine.cores === 1 ? 'core' : 'cores'}, ${bytes(machine.memoryBytes)} of memory`,
    );
    print(`engine     Node ${machine.node}, V8 ${machine.v8}\n`);
    for (const device of all) {
      const mark = device.available ? pc.green('yes') : pc.red('no ');
      print(`${device.name.padEnd(9)}  ${mark}  ${device.notes[0] ?? ''}`);
      for (const note of device.notes.slice(1)) print(`${''.padEnd(16)}${note}`);
    }
    print(
      `\nchosen     ${pc.bold(chosen.name)} with ${chosen.threads} ${chosen.threads === 1 ? 'thread' : 'threads'}: ${chosen.reason}`,
    );
    print('change     --device reference, --threads 1');
  });
}

interface Described {
  readonly name: string;
  readonly available: boolean;
  readonly threads: number;
  readonly notes: readonly string[];
  readonly reason: string;
}

async function describe(name: 'auto' | 'wasm' | 'reference'): Promise<Described> {
  let opened: OpenedDevice;
  try {
    opened = await openDevice(name);
  } catch (error) {
    return {
      name,
      available: false,
      threads: 0,
      notes: [error instanceof Error ? error.message : String(error)],
      reason: '',
    };
  }
  const { target, threads, notes, reason } = opened;
  await target.dispose();
  return { name: target.name, available: true, threads, notes, reason };
}
