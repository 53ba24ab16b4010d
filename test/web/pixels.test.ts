/** Pixels of a canvas become the planes that decoding in Node gives; and the page's words. */

import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage } from '../../src/io/all.node.js';
import { escapeHtml, renderPage } from '../../src/web/page.js';
import { fromRgba } from '../../src/web/pixels.js';
import { preferredLanguage, say, type TextKey, texts } from '../../src/web/texts.js';

/** Every byte in every channel, in many combinations. */
function rgba(width: number, height: number, opaque: boolean): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: 4 * width * height }, (_, i) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return i % 4 === 3 && opaque ? 255 : state >>> 24;
  });
}

describe('planes of pixels', () => {
  it.each([
    ['colours', 3, true, 0],
    ['grey of colours, the luminance of linear light', 1, true, 0],
    ['transparent colours laid on black', 3, false, 1],
    ['grey of transparent colours', 1, false, 2],
  ] as const)('%s', async (_, channels, opaque, tolerance) => {
    const [width, height] = [160, 120];
    const data = rgba(width, height, opaque);
    const png = await sharp(data, { raw: { width, height, channels: 4 } })
      .png()
      .toBuffer();
    const wanted = await decodeImage(png, { channels });
    const found = fromRgba({ data, width, height }, channels);
    expect(found.shape).toEqual(wanted.shape);
    const worst = found.data.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted.data[i])), 0);
    expect(worst).toBeLessThanOrEqual(tolerance);
  });
});

describe('the words', () => {
  it('have the same blanks in both languages', () => {
    const blanks = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([blank]) => blank).sort();
    for (const key of Object.keys(texts.en) as TextKey[])
      expect(blanks(texts.zh[key]), key).toEqual(blanks(texts.en[key]));
    expect(say('en', 'facts', { classes: 10, height: 28, width: 32 })).toBe('10 classes · 28 × 32 pixels');
  });

  it('are those of the first language of the visitor that the page speaks', () => {
    const cases: [readonly string[], string][] = [
      [['zh-TW', 'en'], 'zh'],
      [['de', 'zh-Hans-CN', 'en'], 'zh'],
      [['en-GB', 'zh'], 'en'],
      [['fr'], 'en'],
      [[], 'en'],
      [['zho'], 'en'],
    ];
    for (const [languages, wanted] of cases) expect(preferredLanguage(languages), languages.join()).toBe(wanted);
  });

  it('cannot be markup', () => {
    const page = renderPage({
      title: `<img src=x onerror="alert('1')">&`,
      classes: [],
      backend: 'local',
      model: '"><b>',
    });
    expect(page).not.toContain('<img src=x');
    expect(page).not.toContain('"><b>');
    expect(escapeHtml(`<>&"'`)).toBe('&#60;&#62;&#38;&#34;&#39;');
  });
});
