/** The x86-64 device, for Node. */

export type { Cpu } from './cpu.node.js';
export { type Machine, NativeDevice, type NativeOptions, openMachine } from './device.node.js';
