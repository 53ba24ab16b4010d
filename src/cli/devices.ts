/** `fovea devices`: what this machine offers to compute on, what is taken when nothing is asked for, and why. */

import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import type { Command } from 'commander';
import pc from 'picocolors';
import { type DeviceName, deviceNames, type OpenedDevice, openDevice } from '../tensor/index.js';
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
    const chosen = await openAndClose();
    const all: Described[] = [];
    for (const name of devices) all.push(await describe(name, chosen));
    if (json) {
      printJson({ event: 'machine', ...machine });
      for (const device of all) printJson({ event: 'device', ...device });
      printJson({ event: 'chosen', name: chosen.target.name, threads: chosen.threads, reason: chosen.reason });
      return;
    }
    print(
      `machine    ${machine.cpu}, ${machine.cores} ${machine.cores === 1 ? 'core' : 'cores'}, ${bytes(machine.memoryBytes)} of memory`,
    );
    print(`engine     Node ${machine.node}, V8 ${machine.v8}\n`);
    for (const device of all) {
      const mark = device.available ? pc.green('yes') : pc.red('no ');
      print(`${device.name.padEnd(10)}  ${mark}  ${device.notes[0] ?? ''}`);
      for (const note of device.notes.slice(1)) print(`${''.padEnd(17)}${note}`);
    }
    print(
      `\nchosen     ${pc.bold(chosen.target.name)} with ${chosen.threads} ${chosen.threads === 1 ? 'thread' : 'threads'}: ${chosen.reason}`,
    );
    print('change     --device wasm, --threads 1, or FOVEA_DEVICE=wasm in the environment');
  });
}

/** `auto` and `x64` only choose among these. */
const devices = deviceNames.filter((name) => name !== 'auto' && name !== 'x64');

interface Described {
  readonly name: string;
  readonly available: boolean;
  readonly threads: number;
  readonly notes: readonly string[];
}

async function describe(name: DeviceName, chosen: OpenedDevice): Promise<Described> {
  try {
    const { threads, notes } = name === chosen.target.name ? chosen : await openAndClose(name);
    return { name, available: true, threads, notes };
  } catch (error) {
    return { name, available: false, threads: 0, notes: [error instanceof Error ? error.message : String(error)] };
  }
}

async function openAndClose(name?: DeviceName): Promise<OpenedDevice> {
  const opened = await openDevice(name);
  await opened.target.dispose();
  return opened;
}
