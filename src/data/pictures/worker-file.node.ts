/** Where the module of the pool's workers lies. Tests, which run from sources, put another function in place of this one. */

export async function workerFile(): Promise<URL> {
  return new URL('./worker.node.js', import.meta.url);
}
