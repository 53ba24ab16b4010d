/** What an exported folder says about itself: README.md, and use.html, the smallest page of one's own. */

import { contentSecurityPolicy, escapeHtml } from './page.js';

export interface FolderFacts {
  readonly title: string;
  readonly modelName: string;
  readonly classes: readonly string[];
  readonly inputShape: readonly [channels: number, height: number, width: number];
  readonly modelFile: string;
  readonly modelBytes: number;
  readonly scriptsGzipBytes: number;
  readonly scripts: readonly string[];
}

const script = (modelFile: string) => `import { openModel } from './fovea.js';

const model = await openModel('./${modelFile}');
const input = document.querySelector('input[type=file]');
input.addEventListener('change', async () => {
  const [best, ...others] = await model.classify(input.files[0]);
  document.querySelector('output').textContent = \`\${best.class}, \${(100 * best.probability).toFixed(1)} %\`;
  console.log(others);
});`;

/** A page with nothing in it but the use of the model. */
export function usePage({ title, modelFile }: FolderFacts): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="icon" href="data:,">
<style>:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }</style>
<label>A picture: <input type="file" accept="image/*"></label>
<p><output>…</output></p>
<script type="module">
${script(modelFile)}
</script>
</html>
`;
}

export function readmeText(facts: FolderFacts): string {
  const { title, modelName, classes, inputShape, modelFile, modelBytes, scriptsGzipBytes, scripts } = facts;
  const [channels, height, width] = inputShape;
  const shown = classes.slice(0, 10).join(', ');
  const more = classes.length > 10 ? ` and ${classes.length - 10} more` : '';
  return `# ${title}

A page that says what is in a picture, computed in the visitor's browser: nothing is sent anywhere. It works from any static host.

    npx serve .        # or: python3 -m http.server

Browsers do not load modules from files on disk, so opening index.html with a double click does not do.

| file | what |
| --- | --- |
| \`index.html\`, \`page.js\` | the page |
| \`use.html\` | the smallest page that uses the model, to start your own from |
| \`${modelFile}\` | ${modelName}: ${size(modelBytes)}, ${classes.length} classes (${shown}${more}), pictures of ${channels} × ${height} × ${width} |
| \`fovea.js\`, \`fovea/\` | the library: ${size(scriptsGzipBytes)} compressed (gzip), in ${scripts.length} files |

## In a page of your own

\`\`\`html
<input type="file" accept="image/*">
<output></output>
<script type="module">
${script(modelFile)}
</script>
\`\`\`

- \`openModel(file, { onProgress, threads })\`: an address or the bytes. \`onProgress({ loaded, total })\` is called while the file comes.
- \`model.classify(picture, { top: 5 })\`: a file or Blob, an \`<img>\`, \`<video>\` or \`<canvas>\`, an ImageBitmap or ImageData →
  \`[{ class, index, probability }, …]\`, likeliest first. Pictures go through what they went through in training, as in \`fovea predict\`;
  a picture of more than 16.7 million pixels is drawn smaller first.
- \`model.classes\`, \`model.inputShape\`, \`model.name\`, \`model.threads\`.

Pictures from other origins need CORS headers, or the browser does not give their pixels to scripts.

## All cores

Browsers share memory between threads only in pages that are cross-origin isolated. With these two headers on the page, the model computes on
all cores; without them, on one:

    Cross-Origin-Opener-Policy: same-origin
    Cross-Origin-Embedder-Policy: require-corp

## Content-Security-Policy

WebAssembly is compiled in the page, and threads start from a blob. What index.html allows is enough:

    ${contentSecurityPolicy.split('; ').join(';\n    ')}
`;
}

function size(bytes: number): string {
  return bytes >= 1e6 ? `${(bytes / 1e6).toPrecision(3)} MB` : `${Math.round(bytes / 1000)} kB`;
}
