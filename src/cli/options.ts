/** Options that several commands share, and what they open. */

import { Command, Option } from 'commander';
import { type DeviceName, deviceNames, type OpenedDevice, openDevice, setDevice } from '../tensor/index.js';
import { oneOf, wholeNumber } from './usage.js';

export interface DeviceFlags {
  /** Left out: FOVEA_DEVICE of the environment, or `auto`. */
  readonly device?: DeviceName;
  readonly threads?: number;
}

export function withDevice(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--device <name>',
        `where to compute: ${deviceNames.join(', ')} (default: FOVEA_DEVICE of the environment, or auto)`,
      ).argParser(oneOf(deviceNames)),
    )
    .option('--threads <n>', 'worker threads (default: one per core)', wholeNumber());
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON object a line');
}

/** Opens the device, lets `body` compute on it, and ends its threads, whatever happens. */
export async function onDevice<T>(
  { device, threads }: DeviceFlags,
  body: (opened: OpenedDevice) => Promise<T>,
): Promise<T> {
  const opened = await openDevice(device, { threads });
  setDevice(opened.target);
  try {
    return await body(opened);
  } finally {
    await opened.target.dispose();
  }
}

export function newCommand(name: string, description: string, ...examples: string[]): Command {
  const text = examples.map((example) => `  $ ${example}`).join('\n');
  return new Command(name)
    .description(description)
    .addHelpText('after', `\n${examples.length > 1 ? 'Examples' : 'Example'}:\n${text}`);
}
