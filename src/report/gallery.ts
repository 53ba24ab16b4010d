/** Samples side by side, each with what it is, what the model said and how sure it was. */

import type { SampleResult } from '../train/index.js';
import { grouped } from '../util/counts.js';
import { percent } from './format.js';
import { type Html, html, nameHtml } from './html.js';
import type { PageInput } from './input.js';
import type { Selection } from './selection.js';
import { t } from './text.js';

export function mistakesSection(input: PageInput, { worst, unsure }: Selection): Html | null {
  const leftOut = input.picturesLeftOut;
  return html`<h2>${t('worstTitle')}</h2>${
    worst.length === 0
      ? html`<p class="how">${t('noMistakes')}</p>`
      : html`<p class="how">${t('worstHow')}</p>${gallery(input, worst)}`
  }${
    unsure.length > 0 &&
    html`<h2 style="margin-top:32px">${t('unsureTitle')}</h2><p class="how">${t('unsureHow')}</p>${gallery(input, unsure)}`
  }${leftOut > 0 && html`<p class="left-out">${t('picturesLeftOut', { count: grouped(leftOut) })}</p>`}`;
}

export function gallery(input: PageInput, samples: readonly SampleResult[]): Html {
  return html`<ul class="gallery">${samples.map((sample) => shot(input, sample))}</ul>`;
}

function shot(input: PageInput, sample: SampleResult): Html {
  const { index, actual, predicted, confidence, probability } = sample;
  const { classes } = input.evaluation.confusion;
  const right = actual === predicted;
  const said = right
    ? html`<span class="is">${nameHtml(classes[actual], 40)}</span> ${percent(confidence)}`
    : html`<span class="wrong">${nameHtml(classes[predicted], 40)}</span> ${percent(confidence)}`;
  const is =
    !right && html`<div><span class="is">${nameHtml(classes[actual], 40)}</span> ${percent(probability)}</div>`;
  const name = input.nameOf?.(index) ?? `#${index}`;
  return html`<li class="shot${right ? ' fine' : ''}">${picture(input, index)}<div class="said">${said}</div><span class="sure" style="--v:${confidence.toFixed(3)}"><i></i></span>${is}<div class="file">${nameHtml(name, 80)}</div></li>\n`;
}

function picture({ pictures, textOf, nameOf }: PageInput, index: number): Html | null {
  const found = pictures.get(index);
  if (found !== undefined) {
    const name = (nameOf?.(index) ?? `#${index}`).slice(0, 80);
    return html`<span class="pic p${index}${found.small ? ' small' : ''}" role="img" aria-label="${name}"></span>`;
  }
  const text = textOf?.(index);
  return text === undefined ? null : html`<span class="pic text">${nameHtml(text, 220)}</span>`;
}
