import { afterEach, describe, expect, test, vi } from 'vitest';
import { openMachine } from '../devices/native/index.node.js';
import { type DeviceName, type OpenedDevice, openDevice } from './device.js';

const level = await openMachine().then(
  ({ cpu }) => cpu.level,
  () => null,
);

const opened: OpenedDevice[] = [];
afterEach(async () => {
  vi.doUnmock('koffi');
  vi.unstubAllEnvs();
  vi.unstubAllGlobals();
  vi.resetModules();
  await Promise.all(opened.splice(0).map(({ target }) => target.dispose()));
});

async function open(name?: DeviceName, threads = 1): Promise<OpenedDevice> {
  const device = await openDevice(name, { threads });
  opened.push(device);
  return device;
}

describe('openDevice', () => {
  test('auto is the best machine code there is, wasm where there is none', async () => {
    const { target, reason } = await open('auto');
    expect(target.name).toBe(level === null ? 'wasm' : `x64-${level}`);
    expect(reason).toMatch(/^the fastest device there is on this machine/);
  });

  test.skipIf(level === null)('x64 is the best level, and each level can be had by its name', async () => {
    expect((await open('x64')).target.name).toBe(`x64-${level}`);
    expect((await open('x64-avx2', 2)).target.name).toBe('x64-avx2');
    expect(opened.map(({ threads, reason }) => [threads, reason])).toEqual([
      [1, 'asked for'],
      [2, 'asked for'],
    ]);
  });

  test('the environment decides where the code does not', async () => {
    vi.stubEnv('FOVEA_DEVICE', 'reference');
    expect(await open()).toMatchObject({
      target: { name: 'reference' },
      reason: 'FOVEA_DEVICE=reference in the environment',
    });
    expect((await open('wasm')).target.name).toBe('wasm');
    vi.stubEnv('FOVEA_DEVICE', '');
    expect((await open()).reason).toMatch(/^the fastest/);
  });

  test('a name that is none is answered with those that are', async () => {
    await expect(openDevice('x64-avx' as DeviceName)).rejects.toThrow(
      "There is no device 'x64-avx'. Did you mean x64-avx2?",
    );
    await expect(openDevice('tensor core' as DeviceName)).rejects.toThrow(
      "There is no device 'tensor core'. The devices are auto, x64, x64-avx512, x64-avx2, wasm, reference.",
    );
    vi.stubEnv('FOVEA_DEVICE', 'gpu0');
    await expect(openDevice()).rejects.toThrow("FOVEA_DEVICE: there is no device 'gpu0'. The devices are");
    for (const name of ['auto', 'wasm', 'x64', 'reference'] as const) {
      await expect(openDevice(name, { threads: 0 })).rejects.toThrow(`${name}: threads is 0; pass a whole number`);
    }
  });

  test('where machine code cannot run, auto says why it took wasm, and x64 refuses', async () => {
    vi.resetModules();
    const load = () => {
      throw new Error('no build of it for this system');
    };
    vi.doMock('koffi', () => ({ default: { load } }));
    const fresh = await import('./device.js');
    const device = await fresh.openDevice('auto', { threads: 1 });
    opened.push(device);
    expect(device.target.name).toBe('wasm');
    if (process.arch === 'x64') {
      expect(device.reason).toBe(
        'the fastest device there is on this machine; x64: machine code is called through the optional package koffi, which does not load (no build of it for this system). npm install koffi',
      );
    }
    await expect(fresh.openDevice('x64')).rejects.toThrow(/^x64: /);
  });

  test('a page takes wasm without a word about machine code, and x64 says where it runs', async () => {
    const get = (p: typeof process, key: string) => (key === 'getBuiltinModule' ? undefined : Reflect.get(p, key));
    vi.stubGlobal('process', new Proxy(process, { get: get as ProxyHandler<typeof process>['get'] }));
    const { target, reason } = await open('auto');
    expect([target.name, reason]).toEqual(['wasm', 'the fastest device there is on this machine']);
    await expect(openDevice('x64')).rejects.toThrow(
      'x64: machine code runs in Node; in a page the fastest device is wasm.',
    );
  });
});
